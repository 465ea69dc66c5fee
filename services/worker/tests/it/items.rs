//! The loop over items against embedded servers, a test for each ruling. What needs processes to kill is in `chaos.rs`.

mod attempts;
mod claims;
mod messages;
mod settle;
