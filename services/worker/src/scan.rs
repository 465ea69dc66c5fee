//! Programs that look for work by themselves, pass after pass under leases, and the pass that brings stranded items back.

pub(crate) mod passes;
pub(crate) mod scanner;
pub(crate) mod sweeper;
