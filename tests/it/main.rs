//! All integration tests, in one binary: cargo links it once. One module per thing tested.

mod cli;
mod completions;
mod doctor;
mod release;
mod rules;
mod support;
mod template;
mod test_all;
