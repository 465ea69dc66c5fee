//! The closed vocabularies of the contract, each word with its exact spelling. A word that we do not know is kept as it
//! is, since a newer program may have written it.

/// An enumeration of words. `Other` holds what is none of them, and the empty word, which means "not given"; it is made
/// only by reading or converting a text, so that a known word has one representation.
macro_rules! words {
    ($( $(#[$meta:meta])* $name:ident { $( $(#[$about:meta])* $variant:ident = $word:literal, )+ } )+) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum $name {
                $( $(#[$about])* #[doc = concat!("`", $word, "`")] $variant, )+
                /// A word that this program does not know, or none at all.
                Other(String),
            }

            impl $name {
                /// All that are known, in the order of the specification.
                pub const KNOWN: &'static [Self] = &[$( Self::$variant ),+];

                /// The word as it is written.
                pub fn as_str(&self) -> &str {
                    match self {
                        $( Self::$variant => $word, )+
                        Self::Other(word) => word,
                    }
                }

                /// Whether it is one of [`Self::KNOWN`].
                pub fn is_known(&self) -> bool {
                    !matches!(self, Self::Other(_))
                }
            }

            impl From<String> for $name {
                fn from(word: String) -> Self {
                    match word.as_str() {
                        $( $word => Self::$variant, )+
                        _ => Self::Other(word),
                    }
                }
            }

            impl From<&str> for $name {
                fn from(word: &str) -> Self {
                    Self::from(word.to_owned())
                }
            }

            impl Default for $name {
                fn default() -> Self {
                    Self::Other(String::new())
                }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    out.pad(self.as_str())
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    <String as serde::Deserialize>::deserialize(deserializer).map(Self::from)
                }
            }

            impl $crate::json::Empty for $name {
                fn is_empty(&self) -> bool {
                    self.as_str().is_empty()
                }
            }
        )+
    };
}

words! {
    /// What a WorkItem asks for.
    Action {
        Delete = "Delete",
        /// Never in a WorkItem of the Registry.
        FixityCheck = "Fixity Check",
        GlacierRestore = "Glacier Restore",
        Ingest = "Ingest",
        RestoreFile = "Restore File",
        RestoreObject = "Restore Object",
    }

    /// How far a WorkItem is.
    Status {
        Cancelled = "Cancelled",
        Failed = "Failed",
        Pending = "Pending",
        Started = "Started",
        Success = "Success",
        Suspended = "Suspended",
    }

    /// Where a WorkItem stands.
    Stage {
        AvailableInS3 = "Available in S3",
        Cleanup = "Cleanup",
        CopyToStaging = "Copy To Staging",
        Fetch = "Fetch",
        FormatIdentification = "Format Identification",
        Package = "Package",
        Receive = "Receive",
        Record = "Record",
        ReingestCheck = "Reingest Check",
        Requested = "Requested",
        Resolve = "Resolve",
        Restoring = "Restoring",
        StorageValidation = "Storage Validation",
        Store = "Store",
        Unpack = "Unpack",
        Validate = "Validate",
    }

    /// Where an object is kept, by the depositor's choice.
    StorageOption {
        Standard = "Standard",
        GlacierOh = "Glacier-OH",
        GlacierOr = "Glacier-OR",
        GlacierVa = "Glacier-VA",
        GlacierDeepOh = "Glacier-Deep-OH",
        GlacierDeepOr = "Glacier-Deep-OR",
        GlacierDeepVa = "Glacier-Deep-VA",
        WasabiOr = "Wasabi-OR",
        WasabiTx = "Wasabi-TX",
        WasabiVa = "Wasabi-VA",
    }

    /// A label of the table of buckets. It is never sent to S3.
    StorageClass {
        Standard = "Standard",
        IntelligentTiering = "Intelligent-Tiering",
        StandardIa = "Standard IA",
        OneZoneIa = "One Zone IA",
        Glacier = "Glacier",
        GlacierDeepArchive = "Glacier Deep Archive",
        Wasabi = "Wasabi",
    }

    /// Who keeps a copy: a set of credentials and a host.
    Provider {
        Aws = "AWS",
        Local = "Local",
        WasabiOr = "Wasabi-OR",
        WasabiTx = "Wasabi-TX",
        WasabiVa = "Wasabi-VA",
    }

    /// The type of a PREMIS event.
    EventType {
        AccessAssignment = "access assignment",
        Capture = "capture",
        Compression = "compression",
        Creation = "creation",
        Deaccession = "deaccession",
        Decompression = "decompression",
        Decryption = "decryption",
        Deletion = "deletion",
        DigestCalculation = "message digest calculation",
        FixityCheck = "fixity check",
        IdentifierAssignment = "identifier assignment",
        Ingestion = "ingestion",
        Migration = "migration",
        Normalization = "normalization",
        Replication = "replication",
        SignatureValidation = "digital signature validation",
        Validation = "validation",
        VirusCheck = "virus check",
    }

    /// How what an event tells of ended.
    Outcome {
        Success = "Success",
        /// What a failed fixity check has, and what the Registry's alerts ask for.
        Failed = "Failed",
        /// PREMIS's own word. Nothing writes it.
        Failure = "Failure",
    }

    /// Who may see an object.
    Access {
        Consortia = "consortia",
        Institution = "institution",
        Restricted = "restricted",
    }

    /// Whether a record is in force.
    State {
        Active = "A",
        Deleted = "D",
    }

    /// What a deletion is about.
    ItemType {
        GenericFile = "GenericFile",
        IntellectualObject = "IntellectualObject",
    }

    /// What a file is to its bag.
    FileType {
        Payload = "payload_file",
        Manifest = "manifest",
        TagManifest = "tag_manifest",
        Tag = "tag_file",
        FetchTxt = "fetch.txt",
    }

    /// Where a digest comes from.
    ChecksumSource {
        /// Computed by us from the bytes received.
        Ingest = "ingest",
        Manifest = "manifest",
        TagManifest = "tag_manifest",
        Registry = "registry",
    }

    /// What told a file's format.
    FormatSource {
        Siegfried = "siegfried",
        ExtensionMap = "ext map",
    }

    /// From where a restoration reads.
    RestorationSource {
        S3 = "s3",
        Glacier = "glacier",
    }

    /// What is restored.
    RestorationType {
        File = "file",
        Object = "object",
    }

    /// A message digest.
    Algorithm {
        Md5 = "md5",
        Sha1 = "sha1",
        Sha256 = "sha256",
        Sha512 = "sha512",
    }

    /// A BagIt profile, by the name of its file.
    Profile {
        Aptrust = "aptrust-v2.3.json",
        Btr = "btr-v1.0.json",
    }
}

impl Status {
    /// Nothing more is done for the item. The Registry itself counts a suspended item as still in progress.
    pub fn is_completed(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Failed | Self::Success | Self::Suspended)
    }
}

impl StorageOption {
    /// Whether the only copy is in Glacier or Glacier Deep Archive, from where it must be recalled before it is read.
    pub fn is_glacier_only(&self) -> bool {
        self.as_str().starts_with("Glacier")
    }
}

impl Provider {
    /// Wasabi, in whatever region.
    pub fn is_wasabi(&self) -> bool {
        matches!(self, Self::WasabiOr | Self::WasabiTx | Self::WasabiVa)
    }
}

impl Algorithm {
    /// The order in which a digest is looked for when a file is compared with what the Registry has.
    pub const REINGEST: [Self; 3] = [Self::Sha512, Self::Sha256, Self::Md5];
}

impl Profile {
    /// The identifier of the APTrust profile, and of a bag that names none.
    pub const APTRUST_IDENTIFIER: &str =
        "https://raw.githubusercontent.com/APTrust/preservation-services/master/profiles/aptrust-v2.3.json";

    /// The identifier of the BTR profile.
    pub const BTR_IDENTIFIER: &str =
        "https://github.com/dpscollaborative/btr_bagit_profile/releases/download/1.0/btr-bagit-profile.json";

    /// Which profile a bag is validated against, by its first `BagIt-Profile-Identifier`.
    pub fn for_ingest(identifier: &str) -> Self {
        let btr = identifier.contains("/btr_bagit_profile") || identifier.contains("/btr-bagit-profile");
        if btr { Self::Btr } else { Self::Aptrust }
    }

    /// Which profile an object is restored with, by the identifier that the Registry has.
    pub fn for_restoration(identifier: &str) -> Self {
        if identifier == Self::BTR_IDENTIFIER || identifier.contains("btr-bagit-profile") {
            Self::Btr
        } else {
            Self::Aptrust
        }
    }

    /// The algorithms of the manifests and tag manifests in a restored bag.
    pub fn restored_manifests(&self) -> &'static [Algorithm] {
        match self {
            Self::Btr => &[Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512],
            _ => &[Algorithm::Md5, Algorithm::Sha256],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_as_itself() {
        fn check<T: From<String> + serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
            known: &[T],
            expected: usize,
        ) {
            assert_eq!(known.len(), expected);
            for word in known {
                let json = serde_json::to_string(word).unwrap();
                assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), word);
            }
        }
        check(Action::KNOWN, 6);
        check(Status::KNOWN, 6);
        check(Stage::KNOWN, 16);
        check(StorageOption::KNOWN, 10);
        check(StorageClass::KNOWN, 7);
        check(Provider::KNOWN, 5);
        check(EventType::KNOWN, 18);
        check(Algorithm::KNOWN, 4);
    }

    #[test]
    fn a_word_from_the_future_survives() {
        let status: Status = serde_json::from_str("\"Paused\"").unwrap();
        assert_eq!(status, Status::Other("Paused".into()));
        assert!(!status.is_known() && !status.is_completed());
        assert_eq!(serde_json::to_string(&status).unwrap(), "\"Paused\"");
    }

    #[test]
    fn suspended_counts_as_completed() {
        let completed: Vec<&str> = Status::KNOWN.iter().filter(|s| s.is_completed()).map(Status::as_str).collect();
        assert_eq!(completed, ["Cancelled", "Failed", "Success", "Suspended"]);
    }

    #[test]
    fn texas_is_wasabi_too() {
        assert!(Provider::WasabiTx.is_wasabi() && Provider::WasabiOr.is_wasabi() && Provider::WasabiVa.is_wasabi());
        assert!(!Provider::Aws.is_wasabi() && !Provider::from("Standard").is_wasabi());
        assert!(StorageOption::from("Wasabi-TX").is_known());
    }

    #[test]
    fn glacier_only_options() {
        assert!(StorageOption::GlacierOh.is_glacier_only() && StorageOption::GlacierDeepVa.is_glacier_only());
        assert!(!StorageOption::Standard.is_glacier_only() && !StorageOption::WasabiVa.is_glacier_only());
    }

    #[test]
    fn profiles_are_chosen_by_identifier() {
        for btr in [
            Profile::BTR_IDENTIFIER,
            "https://raw.githubusercontent.com/dpscollaborative/btr_bagit_profile/master/btr-bagit-profile.json",
        ] {
            assert_eq!(Profile::for_ingest(btr), Profile::Btr);
            assert_eq!(Profile::for_restoration(btr), Profile::Btr);
        }
        for aptrust in ["", Profile::APTRUST_IDENTIFIER, "https://example.com/profile.json"] {
            assert_eq!(Profile::for_ingest(aptrust), Profile::Aptrust);
            assert_eq!(Profile::for_restoration(aptrust), Profile::Aptrust);
        }
        assert_eq!(Profile::Aptrust.restored_manifests(), [Algorithm::Md5, Algorithm::Sha256]);
        assert_eq!(Profile::Btr.restored_manifests(), [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]);
    }
}
