//! Client of the Registry.
