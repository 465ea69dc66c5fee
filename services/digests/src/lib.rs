//! Digests of streams: any of md5, sha1, sha256 and sha512 in one pass, on threads of their own, so that they neither wait for
//! each other nor hold up the runtime. Knows nothing of files, bags and manifests.
//!
//! [`Lanes`] is made once per process. A stream is hashed with [`Lanes::start`], or while it goes elsewhere with
//! [`Lanes::through`]. What is in memory already is hashed with [`Digests::of`].
//!
//! * **A thread takes whatever is next**: a batch of one file for one algorithm. So one large file keeps all threads busy,
//!   and so do many files.
//! * **Chunks are shared, never copied**, and what waits for the threads has a bound ([`Lanes::new`]).
//! * **A small file never leaves its caller**: up to [`BATCH`] bytes are hashed on the spot, which takes less than a
//!   millisecond.
//! * **A future can be dropped at any time.** What was handed over for it is forgotten.

mod algorithm;
mod hasher;
mod lanes;
mod through;

pub use algorithm::{Algorithm, Algorithms, UnknownAlgorithm};
pub use hasher::Digests;
pub use lanes::{BATCH, Hashing, Lanes};
pub use through::Through;
