//! What a list is asked with, how records are addressed, and how both are written into a URL.

use std::fmt::{self, Display};

use model::metadata::query_escape;

/// The largest page that the Registry gives.
const MAX_PER_PAGE: u16 = 1000;

/// Filters, order and page of a list. The Registry refuses a filter that it does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn new() -> Self {
        Self::default()
    }

    /// Only records whose column is this. `column` may carry an operator, as in `updated_at__gteq`. A second value for the
    /// same name is one more alternative with `__in`, and ignored by the Registry otherwise.
    #[must_use]
    pub fn filter(mut self, column: &str, value: impl Display) -> Self {
        self.0.push((column.to_owned(), value.to_string()));
        self
    }

    /// Only records whose column is one of these.
    #[must_use]
    pub fn any_of<T: Display>(self, column: &str, values: impl IntoIterator<Item = T>) -> Self {
        let name = format!("{column}__in");
        values.into_iter().fold(self, |query, value| query.filter(&name, value))
    }

    /// In this order: `column`, `column__asc` or `column__desc`.
    #[must_use]
    pub fn sort(self, order: &str) -> Self {
        self.filter("sort", order)
    }

    /// Only this page, from 1.
    #[must_use]
    pub fn page(mut self, number: u64) -> Self {
        self.0.retain(|(name, _)| name != "page");
        self.filter("page", number)
    }

    /// So many records on a page: 1 to 1000. The Registry would take 0 for no limit at all.
    #[must_use]
    pub fn per_page(mut self, records: u16) -> Self {
        self.0.retain(|(name, _)| name != "per_page");
        self.filter("per_page", records.clamp(1, MAX_PER_PAGE))
    }

    pub(crate) fn page_number(&self) -> u64 {
        let page = self.0.iter().find(|(name, _)| name == "page").and_then(|(_, value)| value.parse().ok());
        page.unwrap_or(1)
    }

    /// What a server says comes next. Escapes that are none stand for themselves.
    pub(crate) fn parse(text: &str) -> Self {
        // Only a URL splits and decodes a query here; which one does not matter.
        let url = reqwest::Url::parse(&format!("http://registry.invalid/?{text}"));
        let pairs = url.iter().flat_map(reqwest::Url::query_pairs);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }
}

/// As Go writes a form: names in order, the values of one name in the order they were given.
impl Display for Query {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pairs: Vec<&(String, String)> = self.0.iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        for (at, (name, value)) in pairs.into_iter().enumerate() {
            let separator = if at == 0 { "" } else { "&" };
            write!(out, "{separator}{}={}", query_escape(name), query_escape(value))?;
        }
        Ok(())
    }
}

/// How a record is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    Id(i64),
    /// An institution's domain, the identifier of an object or file, the UUID of an event.
    Identifier(&'a str),
}

impl From<i64> for Key<'_> {
    fn from(id: i64) -> Self {
        Self::Id(id)
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(identifier: &'a str) -> Self {
        Self::Identifier(identifier)
    }
}

impl<'a> From<&'a String> for Key<'a> {
    fn from(identifier: &'a String) -> Self {
        Self::Identifier(identifier)
    }
}

/// As a segment of a path: everything but letters, digits and `-_.~` escaped, `/` and space included.
impl Display for Key<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(out, "{id}"),
            Self::Identifier(identifier) => out.write_str(&query_escape(identifier).replace('+', "%20")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_escaped_into_one_segment() {
        for (identifier, expected) in [
            ("institution1.edu/photos", "institution1.edu%2Fphotos"),
            ("test.edu/a b & c?_\u{2019}.tar", "test.edu%2Fa%20b%20%26%20c%3F_%E2%80%99.tar"),
            ("a+b%2F~", "a%2Bb%252F~"),
        ] {
            assert_eq!(Key::from(identifier).to_string(), expected);
        }
        assert_eq!(Key::from(-1).to_string(), "-1");
    }

    #[test]
    fn queries_are_in_order_and_escaped() {
        let query = Query::new()
            .filter("name", "a b&c.tar")
            .sort("date_processed__desc")
            .any_of("action", ["Delete", "Glacier Restore"])
            .per_page(20)
            .page(1)
            .page(3);
        let expected = "action__in=Delete&action__in=Glacier+Restore&name=a+b%26c.tar&page=3&per_page=20&sort=date_processed__desc";
        assert_eq!(query.to_string(), expected);
        let again = Query::parse(expected);
        assert_eq!((again.to_string().as_str(), again.page_number()), (expected, 3));
        assert_eq!(Query::new().per_page(0).to_string(), "per_page=1");
        assert_eq!(Query::new().per_page(5000).to_string(), "per_page=1000");
    }

    #[test]
    fn strange_queries_of_a_server_are_taken_as_they_are() {
        for (text, expected) in [
            ("", ""),
            ("page=2#x", "page=2"),
            ("a=%zz&page", "a=%25zz&page="),
            ("page=-1", "page=-1"),
            ("\u{0}=\r\n", "%00="),
        ] {
            assert_eq!(Query::parse(text).to_string(), expected, "{text:?}");
        }
        assert_eq!(Query::parse("page=-1").page_number(), 1);
    }
}
