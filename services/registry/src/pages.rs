//! Lists, a page at a time or all of them, with an end whatever the server says.

use futures_util::stream::{self, Stream, TryStreamExt as _};
use model::{GenericFile, Institution, IntellectualObject, Page, PremisEvent, StorageRecord, WorkItem};
use reqwest::Method;

use crate::client::Client;
use crate::error::{Error, Kind};
use crate::query::Query;
use crate::record::Record;
use crate::transport::{Effect, Transport};

/// A list longer than this is taken for a fault.
const MAX_PAGES: u64 = 1_000_000;

/// A record that the Registry lists.
pub trait Listed: Record + Send {
    /// The path of its list.
    const PATH: &'static str;
}

macro_rules! listed {
    ($($record:ty = $path:literal,)+) => {
        $(
            impl Listed for $record {
                const PATH: &'static str = $path;
            }
        )+
    };
}

listed! {
    Institution = "institutions",
    IntellectualObject = "objects",
    GenericFile = "files",
    PremisEvent = "events",
    StorageRecord = "storage_records",
    WorkItem = "items",
}

impl Client {
    /// One page, the first unless the query names another.
    pub async fn list<T: Listed>(&self, query: &Query) -> Result<Page<T>, Error> {
        list(&self.transport, query).await
    }

    /// From the page that the query names to the last, each fetched when it is asked for. A page without records is the
    /// last. While records come to match or cease to, pages shift: ask with a stable order, and expect a record twice or not
    /// at all. Whoever changes what is listed, notes all ids first.
    pub fn pages<T: Listed>(&self, query: Query) -> impl Stream<Item = Result<Page<T>, Error>> + Send + use<T> {
        let start = (self.transport.clone(), Some(query), 0);
        stream::try_unfold(start, |(transport, query, seen)| async move {
            let Some(query) = query else { return Ok(None) };
            let page: Page<T> = list(&transport, &query).await?;
            let seen = seen + 1;
            let next = page.next_query().filter(|_| !page.results.is_empty()).map(Query::parse);
            if let Some(next) = &next
                && (next.page_number() <= query.page_number() || seen >= MAX_PAGES)
            {
                let url = url(&transport, T::PATH, &query);
                let cause = format!("after page {} the Registry leads to {next}", query.page_number());
                return Err(Error::new(&Method::GET, url, Kind::BadAnswer { cause }));
            }
            Ok(Some((page, (transport, next, seen))))
        })
    }

    /// The records of [`Client::pages`], one after the other.
    pub fn all<T: Listed>(&self, query: Query) -> impl Stream<Item = Result<T, Error>> + Send + use<T> {
        self.pages(query).map_ok(|page| stream::iter(page.results.into_iter().map(Ok))).try_flatten()
    }
}

async fn list<T: Listed>(transport: &Transport, query: &Query) -> Result<Page<T>, Error> {
    let url = url(transport, T::PATH, query);
    transport.json(&Method::GET, &url, None, Effect::Repeatable).await
}

fn url(transport: &Transport, path: &str, query: &Query) -> String {
    let query = query.to_string();
    transport.url(&if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
}
