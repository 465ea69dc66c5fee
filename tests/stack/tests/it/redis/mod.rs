//! The embedded Redis: one suite, run against ours and against the real `redis-server`.

mod bad_input;
mod client;
mod conversations;
mod info;
mod library;
mod life;
mod limits;
mod scans;
