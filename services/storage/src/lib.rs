//! S3 in all its kinds.
