//! What the client is made from. Where it comes from (settings, tests) is not known here.

use std::fmt;
use std::time::Duration;

use model::bucket::PreservationBucket;

/// All providers, the buckets whose region is known, and how hard to try.
#[derive(Debug, Clone)]
pub struct Config {
    pub providers: Vec<Provider>,
    pub regions: Vec<Region>,
    pub limits: Limits,
}

/// One provider of S3: `AWS`, or a region of Wasabi.
#[derive(Clone)]
pub struct Provider {
    pub name: model::Provider,
    /// Host and port. Of an Amazon host only the kind counts: the SDK derives the endpoint from a bucket's region.
    pub host: String,
    pub scheme: Scheme,
    /// Both, or neither: then the SDK's own chain finds the task's role.
    pub key: Option<String>,
    pub secret: Option<String>,
}

/// How a provider is spoken to. Amazon's hosts always with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// The region of a bucket, for those that are in the table of preservation buckets (`model::bucket`).
#[derive(Debug, Clone)]
pub struct Region {
    pub provider: model::Provider,
    pub bucket: String,
    pub region: String,
}

/// How long, how often, how much at once. Memory has a [`Budget`](crate::Budget) of its own.
#[derive(Debug, Clone)]
pub struct Limits {
    /// For a TCP and TLS connection.
    pub connect: Duration,
    /// For one try of a small request, and for the answer's head of any download.
    pub answer: Duration,
    /// How long a stream may stand still, or crawl below [`Limits::slowest`], before the connection is given up.
    pub stall: Duration,
    /// Bytes a second, below which a transfer counts as stalled.
    pub slowest: u64,
    /// How often one request is tried, the first time included.
    pub attempts: u32,
    /// The longest pause between two tries; the first is a fifth of a second at most. Each is shortened at random.
    pub pause: Duration,
    /// Bytes of a part, above which one that can be read again from its source is read twice instead of held in memory.
    pub held_part: u64,
    /// Parts of one upload or copy that are under way at once.
    pub parts: usize,
}

impl Region {
    /// As the table has it.
    pub fn of(bucket: &PreservationBucket) -> Self {
        let (provider, region) = (bucket.row().site.provider.clone(), bucket.row().region.to_owned());
        Self { provider, bucket: bucket.name().to_owned(), region }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_mins(1),
            stall: Duration::from_secs(30),
            slowest: 1024,
            attempts: 10,
            pause: Duration::from_secs(5),
            held_part: 64 << 20,
            parts: 4,
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({:?} at {:?} {})", self.name, self.scheme, self.host)
    }
}
