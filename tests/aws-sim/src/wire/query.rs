//! The requests of the awsQuery protocol: form fields such as `Parameters.member.1.ParameterKey`, made into nested values.
//!
//! Page: "Smithy: AWS query protocol", on the serialisation of structures, lists and maps.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Decodes `a=b&c=d`.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

/// Nested objects and arrays. All leaves are text.
pub(crate) fn nest(pairs: &[(String, String)]) -> Value {
    let mut root = Node::default();
    for (key, value) in pairs.iter().filter(|(key, _)| key != "Action" && key != "Version") {
        let mut node = &mut root;
        for part in key.split('.') {
            node = node.children.entry(part.to_owned()).or_default();
        }
        node.text = Some(value.clone());
    }
    root.value()
}

#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn value(self) -> Value {
        if self.children.is_empty() {
            return Value::from(self.text.unwrap_or_default());
        }
        let mut children = self.children;
        if children.len() == 1
            && let Some(list) = children.remove("member")
        {
            let mut items: Vec<(usize, Node)> =
                list.children.into_iter().filter_map(|(key, node)| Some((key.parse().ok()?, node))).collect();
            items.sort_by_key(|(index, _)| *index);
            return items.into_iter().map(|(_, node)| node.value()).collect();
        }
        Value::Object(children.into_iter().map(|(key, node)| (key, node.value())).collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_structures_are_nested_in_the_order_of_their_numbers() {
        let text = "Action=CreateStack&StackName=a%20b+c&Tags.member.10.Key=j&Tags.member.2.Key=b&Tags.member.2.Value=";
        let expected = serde_json::json!({"StackName": "a b c", "Tags": [{"Key": "b", "Value": ""}, {"Key": "j"}]});
        assert_eq!(nest(&pairs(text)), expected);
    }
}
