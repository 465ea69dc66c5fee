//! Client of the Registry: the only crate that speaks to its REST API. It knows paths, headers, pages, which request may
//! be repeated, and what an answer means; what to ask, and what to do about an error, its callers know.
//!
//! * Everything has an end: connecting, waiting, reading, repeating, following pages and redirections, and the size of an
//!   answer ([`Limits`]).
//! * A request is repeated here only where doing it twice is doing it once: reading, and replacing a WorkItem or an object.
//!   Creating, deleting and updating a file (which adds its checksums and copies anew) are the caller's to repeat. What
//!   is known by a UUID or an identifier of ours is created once all the same: [`Client::create_event_once`],
//!   [`Client::create_object_once`], [`Client::create_files_once`].
//! * The API key goes to the origin of [`Settings::url`] and nowhere else, through no proxy, and is never printed.
//! * The text of an [`Error`] is what ends up in a WorkItem's note.

mod client;
mod error;
mod once;
mod pages;
mod query;
mod record;
mod settings;
mod transport;

pub use client::Client;
pub use error::{Error, Kind};
pub use once::Standing;
pub use pages::Listed;
pub use query::{Key, Query};
pub use reqwest::StatusCode;
pub use settings::{Settings, SettingsError};
pub use transport::Limits;
