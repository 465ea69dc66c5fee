//! Validates bags and their profiles; the bytes and digests come from the caller.
#![doc = include_str!("../README.md")]
//!
//! # Where to begin
//!
//! * A bag that fits into memory as paths and digests: [`Bag`].
//! * A bag that does not: [`ManifestParser`] and [`TagParser`] for its bytes, [`Role`] for its names, [`path::readings`] for
//!   the files that a manifest means; then [`check_bag`] once and [`FileChecker::check`] for each file.

pub mod aptrust;
mod bag;
mod check;
mod check_file;
mod facts;
mod fetch;
mod finding;
mod fold;
mod interner;
mod lines;
mod manifest;
pub mod path;
pub mod profile;
mod rfc;
mod role;
mod syntax;
mod tags;
mod utf16;
mod version;

pub use bag::Bag;
pub use check::{NameRule, Options, Rules, check_bag};
pub use check_file::{Declared, Digest, FileChecker, FileRecord, Manifest};
pub use facts::{Facts, Payload};
pub use fetch::{FetchEntry, FetchParser};
pub use finding::{Finding, Messages, Place, Problem, Severity, Verdict};
pub use lines::TooLong;
pub use manifest::{Entry, ManifestParser};
pub use path::{First, Reading};
pub use profile::Profile;
pub use role::{Role, digest_length};
pub use syntax::{Encoding, Labels, LineEnds, Separators, Syntax};
pub use tags::{Tag, TagItem, TagParser, Tags};
pub use version::{BadVersion, Version};
