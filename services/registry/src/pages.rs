//! Lists, a page at a time or all of them, with an end whatever the server says.

use std::collections::HashSet;

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
    /// at all.
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

    /// The records of a list that one's own work changes, each once: whoever saves a record so that it is not listed any more
    /// would skip as many on the pages behind it. A page is asked for again as long as it holds something new, and the whole
    /// list until it does not. Of what others change meanwhile, some may be missed.
    pub fn emptying<T: Listed>(&self, query: Query) -> impl Stream<Item = Result<T, Error>> + Send + use<T> {
        let walk = Walk { transport: self.transport.clone(), query, page: 1, seen: HashSet::new(), found: false };
        let pages = stream::try_unfold(walk, |mut walk| async move { Ok(walk.next().await?.map(|page| (page, walk))) });
        pages.map_ok(|page: Vec<T>| stream::iter(page.into_iter().map(Ok))).try_flatten()
    }

    /// The records of [`Client::pages`], one after the other.
    pub fn all<T: Listed>(&self, query: Query) -> impl Stream<Item = Result<T, Error>> + Send + use<T> {
        self.pages(query).map_ok(|page| stream::iter(page.results.into_iter().map(Ok))).try_flatten()
    }
}

/// Passes over a list that changes.
struct Walk {
    transport: Transport,
    query: Query,
    page: u64,
    seen: HashSet<i64>,
    /// Whether this pass found anything new.
    found: bool,
}

impl Walk {
    /// What is new on the next page that has any; `None` when a pass found nothing.
    async fn next<T: Listed>(&mut self) -> Result<Option<Vec<T>>, Error> {
        loop {
            let page: Page<T> = list(&self.transport, &self.query.clone().page(self.page)).await?;
            let is_last = page.next_query().is_none() || page.results.is_empty() || self.page >= MAX_PAGES;
            let fresh: Vec<T> = page.results.into_iter().filter(|record| self.seen.insert(record.id())).collect();
            if !fresh.is_empty() {
                self.found = true;
                return Ok(Some(fresh));
            }
            if !is_last {
                self.page += 1;
            } else if std::mem::take(&mut self.found) {
                self.page = 1;
            } else {
                return Ok(None);
            }
        }
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
