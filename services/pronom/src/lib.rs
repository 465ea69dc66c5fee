//! Names the format of a file by the signatures of PRONOM, the registry of The National Archives (UK).
//!
//! Nothing is read or written here. An [`Engine`] is given what a file begins and ends with; where it has to look into a
//! container (ZIP, OLE2) whose bytes are not among these, it says which others it needs.
//!
//! ```
//! use pronom::{Engine, Outcome, Seen};
//!
//! let file = b"%PDF-1.4\n...\n%%EOF";
//! let seen = Seen { name: "report.doc", size: file.len() as u64, head: file, tail: &[] };
//! let mut outcome = Engine::builtin().identify(seen);
//! while let Outcome::Needs(mut probe) = outcome {
//!     for range in probe.wants() {
//!         probe.supply(range.start, file[range.start as usize..range.end as usize].to_vec());
//!     }
//!     outcome = probe.resume();
//! }
//! let Outcome::Done(found) = outcome else { unreachable!() };
//! assert_eq!((found.puid, found.mime), ("fmt/18", "application/pdf"));
//! assert_eq!(found.warning_text(), "extension mismatch");
//! ```

mod compile;
mod container;
mod data;
mod engine;
mod limits;
mod names;
mod pattern;
mod priority;
mod report;
mod scan;
mod signature;
mod specimen;
mod text;

pub use compile::{CompileError, compile};
pub use data::DataError;
pub use engine::{About, Counts, Engine, HEAD, Outcome, Probe, Seen, TAIL, is_container};
pub use limits::{Limits, Windows};
pub use report::{Basis, Evidence, Identification, Places, Trouble, Warning, Which};
pub use specimen::Specimen;
pub use text::Encoding;
