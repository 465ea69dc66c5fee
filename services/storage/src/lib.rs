//! S3 in all its kinds: receiving, staging, preservation and restoration buckets, at Amazon, at Wasabi and on a laptop.
//!
//! [`Storage`] is made once from a [`Config`] and gives out [`Bucket`]s, which do the work. What the crate promises:
//!
//! * **Nothing hangs for ever.** Connections, answers, standstills and tries have limits ([`Limits`]).
//! * **What arrives is what was asked for.** Lengths, ranges and ETags are checked; a download that breaks goes on from where
//!   it was, with the same version of the object or not at all; what is sent carries its md5.
//! * **Memory is bounded** by [`Limits::buffers`] for all uploads together; downloads hold next to nothing.
//! * **Nothing is left half-way.** Uploads in parts are completed or aborted, also when their future is dropped.
//! * **An error says what to do**: [`Error::kind`] and [`Error::is_transient`]; it never holds a secret.
//!
//! Concurrency is the caller's: many small requests run side by side by running their futures so.

mod bucket;
mod buffers;
mod client;
mod config;
mod copy;
mod error;
mod get;
mod list;
mod multipart;
mod parts;
mod put;

pub use bucket::{Bucket, Deleted, ETag, Restore, Restored, Stat, Tier};
pub use client::Storage;
pub use config::{Config, Limits, Provider, Region, Scheme};
pub use copy::Copy;
pub use error::{Error, Kind};
pub use get::{Download, Get};
pub use list::{Depth, Entry, List, Page};
pub use parts::Length;
pub use put::{Attributes, Put, Stored};
