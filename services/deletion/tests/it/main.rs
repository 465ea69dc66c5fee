//! Deletion against embedded servers.
