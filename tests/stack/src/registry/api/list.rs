//! The envelope of lists: the count, and where the pages beside this one are (spec 05 §5.1).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::registry::store::{Page, Paging};

/// What Go leaves as it is in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

#[derive(Debug, Serialize)]
pub(super) struct Envelope<R> {
    count: i64,
    next: String,
    previous: String,
    /// An empty page is `null`.
    results: Option<Vec<R>>,
}

impl<R> Envelope<R> {
    pub(super) fn of_page(page: Page<R>, paging: Paging, path: &str, params: &[(String, String)]) -> Self {
        let last = paging.offset.saturating_add(i64::try_from(page.results.len()).unwrap_or(i64::MAX));
        let link =
            |there: bool, number: i64| if there { link(path, params, number, paging.per_page) } else { String::new() };
        Self {
            next: link(page.count > last, paging.page.saturating_add(1)),
            previous: link(paging.page > 1, paging.page.saturating_sub(1)),
            ..Self::of_all(page.count, page.results)
        }
    }

    /// Unlike a page, a batch of none is a list of none.
    pub(super) fn of_batch(results: Vec<R>) -> Self {
        let count = i64::try_from(results.len()).unwrap_or(i64::MAX);
        Self { count, next: String::new(), previous: String::new(), results: Some(results) }
    }

    pub(super) fn of_all(count: i64, results: Vec<R>) -> Self {
        let results = Some(results).filter(|results| !results.is_empty());
        Self { count, next: String::new(), previous: String::new(), results }
    }
}

/// The same path and parameters, in the order of their names, with another page.
fn link(path: &str, params: &[(String, String)], page: i64, per_page: i64) -> String {
    let ours = [("page".to_owned(), page.to_string()), ("per_page".to_owned(), per_page.to_string())];
    let kept = params.iter().filter(|(name, _)| name != "page" && name != "per_page");
    let mut all: Vec<&(String, String)> = kept.chain(&ours).collect();
    // Stable, so that values of one name keep their order.
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let escape = |text: &str| utf8_percent_encode(text, QUERY).to_string().replace(' ', "+");
    let pairs: Vec<String> = all.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    format!("{path}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_sorted_and_escaped_as_go_does() {
        let params = [("state", "A"), ("page", "1"), ("action__in", "Restore File"), ("action__in", "a&b~*")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let link = link("/admin-api/v3/items", &params, 2, 20);
        assert_eq!(link, "/admin-api/v3/items?action__in=Restore+File&action__in=a%26b~%2A&page=2&per_page=20&state=A");
    }
}
