//! S3 in all its kinds: receiving, staging, preservation and restoration buckets, at Amazon, at Wasabi and on a laptop.
//!
//! [`Storage`] is made once from a [`Config`] and the process's [`Budget`], and gives out [`Bucket`]s, which do the work. What the crate promises:
//!
//! * **Nothing hangs for ever.** Connections, answers, standstills and tries have limits ([`Limits`]).
//! * **What arrives is what was asked for.** Lengths, ranges and ETags are checked; a download that breaks goes on from where
//!   it was, with the same version of the object or not at all; what is sent carries its md5.
//! * **Memory is bounded** by one [`Budget`] for all uploads and what callers hold; downloads hold next to nothing.
//! * **Nothing is left half-way.** Uploads in parts are completed or aborted, also when their future is dropped; for that a
//!   program ends with [`Storage::close`].
//! * **An error says what to do**: [`Error::kind`] and [`Error::is_transient`]; it never holds a secret.
//!
//! Concurrency is the caller's: many small requests run side by side by running their futures so.

mod bucket;
mod budget;
mod client;
mod config;
mod connection;
mod content;
mod copy;
mod delete;
mod digest;
mod error;
mod get;
mod list;
mod multipart;
mod object;
mod parts;
mod put;
mod source;

pub use bucket::{Bucket, Deleted, Restore, Tier};
pub use budget::{Budget, Permit};
pub use client::Storage;
pub use config::{Config, Limits, Provider, Region, Scheme};
pub use copy::Copy;
pub use delete::{Deletions, Rest};
pub use digest::Digest;
pub use error::{Error, Kind};
pub use get::{Download, Get};
pub use list::{Depth, Entry, List, Page};
pub use object::{Attributes, ETag, Restored, Stat, Stored};
pub use parts::Length;
pub use put::Put;
pub use source::Source;
