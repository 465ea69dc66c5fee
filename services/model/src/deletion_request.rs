//! Who asked for a deletion and who agreed to it, as the Registry keeps it (05 §7.6).

use crate::List;
use crate::Time;
use crate::json::document;

document! {
    /// Somebody's wish to have files or objects deleted, and the decision about it. Whoever has not acted has no id.
    pub struct DeletionRequest {
        id: i64 = "id",
        institution_id: i64 = "institution_id",
        confirmed_at: Time = "confirmed_at",
        cancelled_at: Time = "cancelled_at",
        requested_by: Person = "requested_by",
        confirmed_by: Person = "confirmed_by",
        generic_files: List<Named> = "generic_files",
        intellectual_objects: List<Named> = "intellectual_objects",
    }
}

document! {
    /// A user of the Registry.
    pub struct Person {
        id: i64 = "id",
        email: String = "email",
    }
}

document! {
    /// What is to be deleted. More than its id is asked for when it is deleted.
    pub struct Named {
        id: i64 = "id",
    }
}
