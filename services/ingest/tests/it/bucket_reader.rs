//! The bucket reader on embedded servers.
