//! Settings: where they come from, what they must look like, and who reads which. Every problem is found in one go.
//!
//! Reading is declaring. A program names the [`Section`]s that it uses and the [`Reader`] records each setting that they
//! ask for; `--check-settings` prints that record. There is no second list of settings that could differ.

mod dotenv;
mod duration;
pub mod names;
mod reader;
mod sections;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod values;

pub use duration::parse as parse_duration;
pub use reader::{Reader, Reported, Setting};
pub use sections::{
    EndToEnd, FixityAge, FixityBatch, FixityCopies, IngestTempDir, LogTarget, Logging, Nsq, NsqPublisher, Profiles,
    Redis, Registry, RestoreDir, Retention, Section,
};
pub use sources::{Environment, Sources};
pub use values::{Bucket, Host, HostPort, HttpUrl, LogLevel, Secret, Text, Value};

pub(crate) use reader::Report;

/// Reads sections by themselves, outside a program. The error lists what is wrong.
pub fn read<S: Section>(environment: Environment, directory: &std::path::Path) -> Result<S, Vec<String>> {
    let sources = Sources::load(environment, directory);
    let mut reader = Reader::new(&sources);
    let section = S::read(&mut reader);
    section.map_err(|Reported { .. }| reader.finish().problems)
}
