//! PREMIS events as the Registry and Redis hold them; `event.rs` makes those that the services write.

use crate::json::document;
use crate::{EventType, Outcome, Time};

document! {
    /// What happened to an object or a file.
    pub struct PremisEvent {
        agent: String = "agent",
        created_at: Time = "created_at",
        date_time: Time = "date_time",
        detail: String = "detail",
        event_type: EventType = "event_type",
        generic_file_id: i64 = "generic_file_id" if set,
        generic_file_identifier: String = "generic_file_identifier" if set,
        id: i64 = "id" if set,
        /// A UUID, by which a second attempt to record it is recognised.
        identifier: String = "identifier",
        institution_id: i64 = "institution_id",
        intellectual_object_id: i64 = "intellectual_object_id",
        intellectual_object_identifier: String = "intellectual_object_identifier",
        object: String = "object",
        outcome_detail: String = "outcome_detail",
        outcome_information: String = "outcome_information",
        outcome: Outcome = "outcome",
        updated_at: Time = "updated_at",
        ..unknown
    }
}
