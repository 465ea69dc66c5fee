//! Tars: a strict reader for streams of chunks, and a writer whose headers have the bytes of Go's `archive/tar`. Does no I/O of
//! its own, and knows of bags only what makes a tar unfit to hold one ([`Files`]).
//!
//! * [`Reader`] reads a stream, [`Parser`] what one feeds it. Contents are slices of the chunks that came ([`bytes::Bytes`]), never
//!   copies; memory does not depend on the tar, but for a sparse file's map, which has a limit.
//! * **Names are bytes until [`Files`] has judged them.**
//! * **A tar that is cut is an [`Error`] with a place; a source that fails is another** ([`ReadError`]).
//! * **Where two readers could take a tar differently, it is refused**, unless Go's reader, which has taken in all bags so far,
//!   is known to accept it and tools are known to write it.
//! * [`Writer`] and [`Header`] make the tars of restorations.
//!
//! Why not a library: `tar-core` 0.1, the best parser without I/O, refuses times before 1970, reads negative sizes as large
//! ones and needs all the extensions of an entry in one piece; `tar` and its relatives do their own I/O, copy, and take the
//! maps of PAX sparse files for their contents.

mod decimal;
mod error;
mod header;
mod parser;
mod pax;
mod reader;
mod sparse;
mod verdict;
mod window;
mod write;

pub use error::{Error, Fault};
pub use header::Kind;
pub use parser::{Entry, Limits, Parser, Step};
pub use reader::{ReadError, Reader};
pub use verdict::{Files, Refusal};
pub use window::HeadTail;
pub use write::{Header, Unwritable, WriteError, Writer};

/// Everything in a tar begins at a multiple of this.
pub(crate) const BLOCK: usize = 512;

/// Bytes of zeros from the end of some contents to the next block.
pub(crate) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
