//! Programs that take messages from an NSQ topic, and the loop over these. What a message means is not known here.

pub(crate) mod messages;
pub(crate) mod worker;
