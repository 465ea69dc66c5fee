//! Runs `examples/idle` and `examples/stubborn` as an operator would.

fn main() {}
