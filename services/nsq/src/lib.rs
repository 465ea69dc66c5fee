//! Consumer and publisher of NSQ, as the services need them: what to do with a message is theirs.
//!
//! Consuming is nsqd's TCP protocol ([`Consumer`], [`Message`]); publishing and asking for statistics is HTTP
//! ([`Publisher`], [`Lookup`]), for which the program must have chosen rustls's provider of cryptography.
//!
//! Every wait has a limit, and every buffer: a frame by [`Options::max_frame`], an answer over HTTP, messages without an
//! answer by [`Options::max_in_flight`].

mod address;
mod connection;
mod consumer;
mod delivery;
mod frame;
mod http;
mod link;
mod lookup;
mod message;
mod name;
mod publisher;
mod queue;
mod share;
mod shared;
mod tend;

pub use address::BadAddress;
pub use consumer::{Closed, Consumer};
pub use delivery::Lost;
pub use frame::Id;
pub use http::HttpError;
pub use lookup::{ChannelStats, Lookup, Node, Stats, TopicLoad, TopicStats};
pub use message::Message;
pub use name::{BadName, Name};
pub use publisher::{LONGEST_DEFERRAL, PublishError, Publisher};
pub use shared::{Options, Source};
