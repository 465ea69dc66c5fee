//! Lists of what a bucket holds, page by page.

use std::collections::VecDeque;

use aws_sdk_s3::types::EncodingType;
use futures_util::Stream;
use percent_encoding::percent_decode_str;
use time::OffsetDateTime;

use crate::bucket::Bucket;
use crate::error::{Error, Kind, Target};
use crate::object::{ETag, date, etag, size};

/// A list in progress. One page of at most 1,000 entries is in memory.
#[derive(Debug)]
pub struct List {
    bucket: Bucket,
    prefix: String,
    depth: Depth,
    next: Next,
}

/// How far a list goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything under the prefix.
    All,
    /// Up to the next `/`; what lies deeper is one [`Page::folders`] entry.
    One,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Common prefixes, with the `/` at their end.
    pub folders: Vec<String>,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    /// Bytes.
    pub size: u64,
    pub etag: ETag,
    pub last_modified: Option<OffsetDateTime>,
}

#[derive(Debug)]
enum Next {
    First,
    After(String),
    End,
}

impl Bucket {
    /// Lists the keys that begin with the prefix. Nothing is sent before the first page is asked for.
    pub fn list(&self, prefix: &str, depth: Depth) -> List {
        List { bucket: self.clone(), prefix: prefix.to_owned(), depth, next: Next::First }
    }
}

impl List {
    /// The next page; `None` after the last one. After an error, the same page is asked for again.
    pub async fn page(&mut self) -> Result<Option<Page>, Error> {
        let token = match &self.next {
            Next::First => None,
            Next::After(token) => Some(token.clone()),
            Next::End => return Ok(None),
        };
        let target = || Target::new("list", self.bucket.name(), Some(&self.prefix));
        let mut request = self.bucket.client().await?.list_objects_v2().bucket(self.bucket.name()).prefix(&self.prefix);
        if self.depth == Depth::One {
            request = request.delimiter("/");
        }
        // Keys may hold characters that XML cannot.
        let request = request.encoding_type(EncodingType::Url).set_continuation_token(token.clone());
        let answer = Box::pin(request.send()).await.map_err(|error| Error::of_sdk(target(), error))?;
        let is_encoded = answer.encoding_type() == Some(&EncodingType::Url);
        let decoded = |text: Option<&str>| match text {
            Some(text) if is_encoded => {
                decoded(text).ok_or_else(|| target().fails(Kind::Malformed, "a key is not UTF-8"))
            }
            Some(text) => Ok(text.to_owned()),
            None => Err(target().fails(Kind::Malformed, "an entry has no key")),
        };
        let entries = answer.contents().iter().map(|object| {
            Ok(Entry {
                key: decoded(object.key())?,
                size: size(object.size(), target)?,
                etag: etag(object.e_tag(), None, target)?,
                last_modified: object.last_modified().and_then(date),
            })
        });
        let page = Page {
            entries: entries.collect::<Result<_, _>>()?,
            folders: answer
                .common_prefixes()
                .iter()
                .map(|folder| decoded(folder.prefix()))
                .collect::<Result<_, _>>()?,
        };
        self.next = match (answer.is_truncated().unwrap_or_default(), answer.next_continuation_token()) {
            (false, _) => Next::End,
            // A server that gives the same token again would be listed for ever.
            (true, Some(new)) if token.as_deref() != Some(new) => Next::After(new.to_owned()),
            (true, _) => return Err(target().fails(Kind::Malformed, "the list goes on, but does not say where")),
        };
        Ok(Some(page))
    }

    /// The objects alone, one by one.
    pub fn into_entries(self) -> impl Stream<Item = Result<Entry, Error>> + Send + 'static {
        futures_util::stream::try_unfold((self, VecDeque::new()), async |(mut list, mut entries)| {
            loop {
                if let Some(entry) = entries.pop_front() {
                    return Ok(Some((entry, (list, entries))));
                }
                match list.page().await? {
                    Some(page) => entries = page.entries.into(),
                    None => return Ok(None),
                }
            }
        })
    }
}

/// Undoes the encoding of a list, in which a space is a `+`.
fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_list_are_decoded() {
        assert_eq!(decoded("a+b%2Bc%20d/%E2%80%A8").as_deref(), Some("a b+c d/\u{2028}"));
        assert_eq!(decoded("%FF"), None);
    }
}
