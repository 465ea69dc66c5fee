//! The built program against a simulated AWS: every exit code, every state of a stack, everything that goes wrong. Numbers in
//! comments are the acceptance checks of the deployment's specification.

// A helper of a test may panic as a test does.
#![allow(clippy::unwrap_used)]

mod deploying;
mod failing;
mod looking;
mod mixed;
mod moving;
mod recovering;
mod refusing;
mod shaken;
mod stand;
mod states;
