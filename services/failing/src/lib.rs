//! What every client needs when something fails: all its causes in one line, how long to wait before the next try, and for
//! how long nothing has worked. What may be tried again, and how often, the clients know.

mod backoff;
mod chain;
mod streak;

pub use backoff::{Backoff, around};
pub use chain::chain;
pub use streak::Streak;
