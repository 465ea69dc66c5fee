//! JSON as Go's `encoding/json` writes it: compact, fields in their order, a few more characters escaped than JSON
//! demands; and the types and macros that let a document survive a visit by us byte for byte.
//!
//! * [`List`] remembers whether an empty list was `[]` or `null`.
//! * [`Unknown`] keeps the fields that a newer program wrote.
//! * `document!` makes a type whose fields may be absent, `null` or out of order when read, and are written in the order
//!   of their declaration; `if set` leaves a zero out, as Go's `omitempty` does.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess};
use serde::ser::{SerializeMap, Serializer};
use serde_json::ser::Formatter;
use serde_json::value::RawValue;

/// The bytes that Go would write.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut out = Vec::with_capacity(512);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, AsGo))?;
    String::from_utf8(out).map_err(serde_json::Error::custom)
}

/// Compact, with `<`, `>`, `&`, U+2028 and U+2029 escaped: harmless in HTML and JavaScript.
struct AsGo;

impl Formatter for AsGo {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, found)) =
            rest.char_indices().find(|(_, c)| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'))
        {
            out.write_all(&rest.as_bytes()[..at])?;
            write!(out, "\\u{:04x}", u32::from(found))?;
            rest = &rest[at + found.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// A list that may be `null`, which is what Go's nil slice becomes. One that was read as `null` and stayed empty is
/// written as `null` again. The default is `null`, as in Go; [`List::new`] is `[]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(Option<Vec<T>>);

impl<T> List<T> {
    /// `[]`.
    #[allow(clippy::new_without_default, reason = "the default is null")]
    pub const fn new() -> Self {
        Self(Some(Vec::new()))
    }

    pub fn push(&mut self, item: T) {
        self.as_vec().push(item);
    }

    /// To change it by any means; from here on it is `[]` when empty.
    pub fn as_vec(&mut self) -> &mut Vec<T> {
        self.0.get_or_insert_default()
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self(Some(items))
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(Some(items.into_iter().collect()))
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.unwrap_or_default().into_iter()
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self)
    }
}

/// Fields that this program does not know, in their order and exactly as they were written.
#[derive(Clone, Default)]
pub struct Unknown(Vec<(String, Box<RawValue>)>);

impl Unknown {
    /// Name and JSON text of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    pub(crate) fn keep(&mut self, name: String, value: Box<RawValue>) {
        self.0.push((name, value));
    }

    pub(crate) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
    }
}

impl PartialEq for Unknown {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

/// One field of a document, whose name belongs into the error.
pub(crate) fn field<'de, A: MapAccess<'de>, T: Deserialize<'de> + Default>(
    map: &mut A,
    name: &str,
) -> Result<T, A::Error> {
    match map.next_value::<Option<T>>() {
        Ok(value) => Ok(value.unwrap_or_default()),
        Err(cause) => Err(A::Error::custom(format_args!("{name}: {cause}"))),
    }
}

/// What `omitempty` of Go leaves out. Times are never empty there.
pub(crate) trait Empty {
    fn is_empty(&self) -> bool;
}

impl Empty for String {
    fn is_empty(&self) -> bool {
        String::is_empty(self)
    }
}

impl Empty for i64 {
    fn is_empty(&self) -> bool {
        *self == 0
    }
}

impl<T> Empty for List<T> {
    fn is_empty(&self) -> bool {
        <[T]>::is_empty(self)
    }
}

macro_rules! document {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$about:meta])* $field:ident: $type:ty = $json:literal $(if $set:ident)?, )+
            $( .. $unknown:ident )?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        $vis struct $name {
            $( $(#[$about])* pub $field: $type, )+
            $(
                /// What a newer program wrote; kept, and written after the rest.
                pub $unknown: $crate::json::Unknown,
            )?
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(None)?;
                $( $crate::json::document!(@write map, &self.$field, $json $(, $set)?); )+
                $( self.$unknown.write(&mut map)?; )?
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        out.write_str(concat!("a JSON object, the fields of ", stringify!($name)))
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut document = $name::default();
                        while let Some(name) = map.next_key::<String>()? {
                            match name.as_str() {
                                $( $json => document.$field = $crate::json::field(&mut map, $json)?, )+
                                _ => $crate::json::document!(@unknown map, name $(, document.$unknown)?),
                            }
                        }
                        Ok(document)
                    }
                }
                deserializer.deserialize_map(Fields)
            }
        }
    };
    (@write $map:ident, $value:expr, $json:literal) => {
        $map.serialize_entry($json, $value)?
    };
    (@write $map:ident, $value:expr, $json:literal, set) => {
        if !$crate::json::Empty::is_empty($value) {
            $map.serialize_entry($json, $value)?;
        }
    };
    (@unknown $map:ident, $name:ident) => {{
        $map.next_value::<serde::de::IgnoredAny>()?;
    }};
    (@unknown $map:ident, $name:ident, $document:ident.$unknown:ident) => {
        $document.$unknown.keep($name, $map.next_value()?)
    };
}
pub(crate) use document;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    document! {
        /// One of each.
        struct Sample {
            text: String = "text",
            short: String = "short" if set,
            number: i64 = "number" if set,
            at: Time = "at",
            list: List<i64> = "list",
            some: List<i64> = "some" if set,
            ..unknown
        }
    }

    document! {
        /// Drops what it does not know.
        struct Plain {
            text: String = "text",
        }
    }

    fn again(text: &str) -> String {
        to_json(&serde_json::from_str::<Sample>(text).unwrap()).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let text = "a<b>&c\u{2028}\u{2029}\u{202f}\"\\/\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}é\u{1F600}";
        let expected = concat!(
            r#""a\u003cb\u003e\u0026c\u2028\u2029"#,
            "\u{202f}",
            r#"\"\\/\n\r\t\b\f\u0001\u001f"#,
            "\u{7f}é\u{1F600}\""
        );
        assert_eq!(to_json(text).unwrap(), expected);
        assert_eq!(serde_json::from_str::<String>(expected).unwrap(), text);
    }

    #[test]
    fn null_and_empty_lists_stay_what_they_were() {
        for text in [
            r#"{"text":"","at":"0001-01-01T00:00:00Z","list":null}"#,
            r#"{"text":"","at":"0001-01-01T00:00:00Z","list":[]}"#,
            r#"{"text":"x","short":"y","number":-7,"at":"2026-03-04T05:06:07.5+02:00","list":[1],"some":[2,3]}"#,
        ] {
            assert_eq!(again(text), text);
        }
        let mut sample: Sample = serde_json::from_str(r#"{"list":null}"#).unwrap();
        sample.list.push(4);
        assert_eq!(*sample.list, [4]);
    }

    #[test]
    fn unknown_fields_are_kept_in_order_and_to_the_letter() {
        let text = r#"{"text":"","at":"0001-01-01T00:00:00Z","list":[],"z":{"b":1.10,"a":18446744073709551616},"c<":"\u003c","a":null}"#;
        let expected = text.replace("\"c<\"", "\"c\\u003c\"");
        assert_eq!(again(text), expected);
        assert_eq!(again(&expected), expected);
        let sample: Sample = serde_json::from_str(text).unwrap();
        assert_eq!(sample.unknown.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["z", "c<", "a"]);
        assert_eq!(to_json(&serde_json::from_str::<Plain>(text).unwrap()).unwrap(), r#"{"text":""}"#);
    }

    #[test]
    fn null_absent_and_out_of_order_are_read() {
        let sample: Sample = serde_json::from_str(r#"{"at":null,"number":null,"text":null}"#).unwrap();
        assert_eq!(sample, Sample::default());
        let sample: Sample = serde_json::from_str(r#"{"number":3,"text":"x"}"#).unwrap();
        assert_eq!((sample.number, sample.text.as_str()), (3, "x"));
    }

    #[test]
    fn an_error_names_the_field_and_the_place() {
        let error = |text: &str| serde_json::from_str::<Sample>(text).unwrap_err().to_string();
        assert_eq!(error(r#"{"number":"x"}"#), "number: invalid type: string \"x\", expected i64 at line 1 column 13");
        assert!(error(r#"{"at":"yesterday"}"#).starts_with("at: `yesterday` is not a time"));
        assert!(error("[]").contains("a JSON object, the fields of Sample"));
        assert!(error(r#"{"list":["x"]}"#).starts_with("list: "));
    }
}
