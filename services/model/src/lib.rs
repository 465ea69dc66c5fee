//! Domain types and constants.
