//! Values as the XML that the query protocol and S3 answer with.

use serde_json::Value;

/// `<name>…</name>`; the items of a list are each a `<member>`. Null is left out.
pub(crate) fn element(name: &str, value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, name, value, true);
    text
}

/// As [`element`], but a list is the element repeated, as S3 writes lists.
pub(crate) fn flat(name: &str, value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, name, value, false);
    text
}

fn write(out: &mut String, name: &str, value: &Value, members: bool) {
    match value {
        Value::Null => {}
        Value::Array(items) if members => {
            open(out, name);
            for item in items {
                write(out, "member", item, members);
            }
            close(out, name);
        }
        Value::Array(items) => {
            for item in items {
                write(out, name, item, members);
            }
        }
        Value::Object(fields) => {
            open(out, name);
            for (field, value) in fields {
                write(out, field, value, members);
            }
            close(out, name);
        }
        Value::String(text) => leaf(out, name, text),
        other => leaf(out, name, &other.to_string()),
    }
}

fn open(out: &mut String, name: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
}

fn close(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn leaf(out: &mut String, name: &str, text: &str) {
    open(out, name);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
    close(out, name);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_have_members_or_repeat_the_element() {
        let value = json!({"A": ["x<&", 1], "B": null, "C": true});
        assert_eq!(element("R", &value), "<R><A><member>x&lt;&amp;</member><member>1</member></A><C>true</C></R>");
        assert_eq!(flat("R", &value), "<R><A>x&lt;&amp;</A><A>1</A><C>true</C></R>");
    }
}
