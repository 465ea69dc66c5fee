//! What is restored to a depositor: an object or one file of it.

use crate::identifier;
use crate::json::document;
use crate::{Profile, RestorationSource, RestorationType, Time};

document! {
    /// A restoration.
    pub struct RestorationObject {
        all_files_restored: bool = "all_files_restored",
        bagit_profile_identifier: String = "BagItProfileIdentifier",
        error_message: String = "error_message",
        /// Of the object or the file.
        identifier: String = "identifier",
        /// The id of the object or the file in the Registry.
        item_id: i64 = "item_id",
        /// Of the object or the file, in bytes.
        object_size: i64 = "object_size",
        restoration_source: RestorationSource = "restoration_source",
        /// The institution's restoration bucket.
        restoration_target: String = "restoration_target",
        restoration_type: RestorationType = "restoration_type",
        restored_at: Time = "restored_at",
        /// Where the depositor finds it.
        url: String = "url",
        ..unknown
    }
}

/// What the URL of a restored item begins with.
const URL_PREFIX: &str = "https://s3.amazonaws.com/";

impl RestorationObject {
    /// The identifier without the institution.
    pub fn object_name(&self) -> Option<&str> {
        identifier::without_institution(&self.identifier)
    }

    /// Which profile the bag is made by.
    pub fn profile(&self) -> Profile {
        Profile::for_restoration(&self.bagit_profile_identifier)
    }

    /// The key in the restoration bucket. It holds the institution's identifier.
    pub fn key(&self) -> String {
        let suffix = if self.restoration_type == RestorationType::File { "" } else { ".tar" };
        format!("{}{suffix}", self.identifier)
    }

    /// The URL that the depositor is sent, nothing in it escaped: the Registry cuts it out of the item's note.
    pub fn public_url(&self) -> String {
        format!("{URL_PREFIX}{}/{}", self.restoration_target, self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_become_tar_files_and_files_stay_what_they_are() {
        let mut restoration = RestorationObject {
            identifier: "example.edu/bag".into(),
            restoration_target: "aptrust.restore.example.edu".into(),
            restoration_type: RestorationType::Object,
            ..RestorationObject::default()
        };
        assert_eq!(restoration.object_name(), Some("bag"));
        assert_eq!(
            restoration.public_url(),
            "https://s3.amazonaws.com/aptrust.restore.example.edu/example.edu/bag.tar"
        );
        restoration.identifier = "example.edu/bag/data/a b.txt".into();
        restoration.restoration_type = RestorationType::File;
        assert_eq!(restoration.key(), "example.edu/bag/data/a b.txt");
        restoration.identifier = "bag".into();
        assert_eq!(restoration.object_name(), None);
    }
}
