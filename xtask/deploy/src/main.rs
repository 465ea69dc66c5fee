//! Deploys, watches and rolls back the stack. Reached as `cargo xtask deploy`.

fn main() {}
