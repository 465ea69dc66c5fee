//! Which parameters and resources an expression refers to.

use serde_json::Value;

/// A reference to a parameter or a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) name: String,
    /// The attribute, if it was `Fn::GetAtt`.
    pub(crate) attribute: Option<String>,
}

/// Every reference in an expression, once each.
pub(crate) fn of(expression: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(expression, &mut found);
    found.sort();
    found.dedup();
    found
}

fn collect(expression: &Value, found: &mut Vec<Reference>) {
    match expression {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            if let (1, Some((function, argument))) = (fields.len(), fields.iter().next()) {
                match (function.as_str(), argument) {
                    ("Ref", Value::String(name)) => found.push(Reference { name: name.clone(), attribute: None }),
                    ("Fn::GetAtt", Value::Array(parts)) => {
                        let part = |index: usize| parts.get(index).and_then(Value::as_str).map(str::to_owned);
                        if let Some(name) = part(0) {
                            found.push(Reference { name, attribute: part(1) });
                        }
                    }
                    ("Fn::Sub", Value::String(text)) => found.extend(in_text(text, &[])),
                    ("Fn::Sub", Value::Array(parts)) => {
                        let variables = parts.get(1).and_then(Value::as_object);
                        let own: Vec<&str> = variables.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                        if let Some(text) = parts.first().and_then(Value::as_str) {
                            found.extend(in_text(text, &own));
                        }
                    }
                    _ => {}
                }
            }
            fields.values().for_each(|value| collect(value, found));
        }
        _ => {}
    }
}

fn in_text(text: &str, own: &[&str]) -> Vec<Reference> {
    let names = pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Name(name) if !own.contains(&name) => Some(name),
        _ => None,
    });
    names
        .map(|name| match name.split_once('.') {
            Some((name, attribute)) => Reference { name: name.to_owned(), attribute: Some(attribute.to_owned()) },
            None => Reference { name: name.to_owned(), attribute: None },
        })
        .collect()
}

/// A part of a text of `Fn::Sub`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    /// What stood in `${…}`.
    Name(&'a str),
    /// `${!…}`, which stands for `${…}`.
    Literal(&'a str),
}

pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        pieces.push(Piece::Text(&rest[..start]));
        let inner = &rest[start + 2..start + length];
        pieces.push(match inner.strip_prefix('!') {
            Some(literal) => Piece::Literal(literal),
            None => Piece::Name(inner.trim()),
        });
        rest = &rest[start + length + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_found_in_every_form() {
        let expression = json!({"a": {"Ref": "P"}, "b": [{"Fn::GetAtt": ["R", "Arn"]}],
            "c": {"Fn::Sub": ["${X}-${Own}-${R.Name}-${!Not}", {"Own": {"Ref": "Q"}}]}});
        let found: Vec<String> = of(&expression)
            .into_iter()
            .map(|r| r.attribute.map_or(r.name.clone(), |attribute| format!("{}.{attribute}", r.name)))
            .collect();
        assert_eq!(found, ["P", "Q", "R.Arn", "R.Name", "X"]);
    }
}
