//! The S3 server: one suite of the protocol, run against ours and against a server that we did not write, and then what only
//! ours can do or must stand.

mod archive;
mod bad_input;
mod faults;
mod kept;
mod large;
mod log;
mod protocol;
mod raw;
mod target;
