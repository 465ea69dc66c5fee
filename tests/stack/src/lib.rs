//! What stands around the services, embedded: NSQ, Redis, S3 and the Registry, true enough that the services and the
//! clients of others cannot tell them from the real ones. For the demo and the tests: they listen on loopback only.
//!
//! Each server starts with `start(Options)`, on a free port unless one is asked for, and ends, with all its tasks and
//! connections, when its value is dropped.
//!
//! For tests only: [`proxy`] and [`scripted`], the two ends of a wire that misbehaves, and [`testing`].

mod folder;
mod inbox;
pub mod nsq;
pub mod proxy;
pub mod redis;
pub mod registry;
pub mod s3;
pub mod scripted;
mod services;
pub mod settings;
mod stack;
pub mod testing;

pub use folder::Folder;
pub use inbox::Inbox;
pub use services::{Service, Services};
pub use stack::{Options, Ports, Stack};
