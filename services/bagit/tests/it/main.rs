//! The crate from outside: the rules one by one, the properties, and the suites that others have made.

mod aptrust;
mod bags;
mod cases;
mod conformance;
mod properties;
mod rfc;
mod support;
