//! What APTrust takes from the tags of a deposit: the profile that judges it, where it is to be stored, and what the record
//! of the object says. The profiles themselves are data; see `profile`.

use crate::fold;
use crate::profile::Profile;
use crate::rfc::BAG_INFO;
use crate::tags::{Tag, Tags as _};

/// The tag files, at the root of a bag, whose tags are read.
pub const TAG_FILES: [&str; 3] = ["bagit.txt", BAG_INFO, APTRUST_INFO];

/// What an object's record has as its profile if the bag names none.
pub const DEFAULT_IDENTIFIER: &str =
    "https://raw.githubusercontent.com/APTrust/preservation-services/master/profiles/aptrust-v2.3.json";
/// The identifier of BTR's profile as it is recorded.
pub const BTR_IDENTIFIER: &str =
    "https://github.com/dpscollaborative/btr_bagit_profile/releases/download/1.0/btr-bagit-profile.json";

/// Where a deposit can be stored. The first is for those that do not say.
pub const STORAGE_OPTIONS: [&str; 10] = [
    "Standard",
    "Glacier-OH",
    "Glacier-OR",
    "Glacier-VA",
    "Glacier-Deep-OH",
    "Glacier-Deep-OR",
    "Glacier-Deep-VA",
    "Wasabi-OR",
    "Wasabi-TX",
    "Wasabi-VA",
];

/// Who may see an object. The second is for those that do not say.
pub const ACCESS: [&str; 3] = ["consortia", "institution", "restricted"];

const APTRUST_INFO: &str = "aptrust-info.txt";
const PROFILE_IDENTIFIER: &str = "BagIt-Profile-Identifier";
const STORAGE_OPTION: &str = "Storage-Option";
/// Other identifiers of BTR's profile that are in use.
const BTR_ALIASES: [&str; 2] = [
    "https://raw.githubusercontent.com/APTrust/dart/master/profiles/btr-v0.1.json",
    "https://raw.githubusercontent.com/dpscollaborative/btr_bagit_profile/master/btr-bagit-profile.json",
];

/// The profiles that deposits are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileName {
    Aptrust,
    Btr,
}

/// Where a deposit is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageOption {
    /// One of [`STORAGE_OPTIONS`].
    Known(&'static str),
    /// What an APTrust bag says and the profile will refuse.
    Illegal(String),
    /// What a BTR bag says and nobody knows. It is stored as `Standard`.
    Ignored(String),
}

/// What the record of an object says of its tags (02 §4.9). `alt_identifier` is the internal sender's identifier again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// One of [`ACCESS`], or what a BTR bag says instead, in lower case.
    pub access: String,
    pub title: String,
    pub description: String,
    pub internal_sender_identifier: String,
    pub internal_sender_description: String,
    pub bag_group_identifier: String,
    pub bagit_profile_identifier: String,
    pub source_organization: String,
}

/// Makes the tags what later steps expect: brings the profile's identifier to one form (02 §4.7), and gives an APTrust bag
/// that does not say where it is to be stored the tag that does (02 §4.8). To be called once, when all tag files are read.
pub fn settle(tags: &mut Vec<Tag>) -> (ProfileName, StorageOption) {
    for tag in tags.iter_mut().filter(|tag| tag.file == BAG_INFO && tag.label == PROFILE_IDENTIFIER) {
        let settled = if BTR_ALIASES.contains(&tag.value.as_str()) {
            BTR_IDENTIFIER
        } else if tag.value.is_empty() {
            DEFAULT_IDENTIFIER
        } else {
            continue;
        };
        settled.clone_into(&mut tag.value);
        break;
    }
    let profile = ProfileName::of(tags);
    let option = match profile {
        ProfileName::Aptrust => {
            if tags.value(APTRUST_INFO, STORAGE_OPTION).is_none() {
                let (file, label) = (APTRUST_INFO.to_owned(), STORAGE_OPTION.to_owned());
                tags.push(Tag { file, label, value: STORAGE_OPTIONS[0].to_owned(), line: 0 });
            }
            let value = tags.value(APTRUST_INFO, STORAGE_OPTION).unwrap_or_default();
            known(&STORAGE_OPTIONS, value)
                .map_or_else(|| StorageOption::Illegal(value.to_owned()), StorageOption::Known)
        }
        ProfileName::Btr => match tags.value(BAG_INFO, "APTrust-Storage-Option") {
            None => StorageOption::Known(STORAGE_OPTIONS[0]),
            Some(value) => known(&STORAGE_OPTIONS, value)
                .map_or_else(|| StorageOption::Ignored(value.to_owned()), StorageOption::Known),
        },
    };
    (profile, option)
}

impl ProfileName {
    /// By the first identifier in `bag-info.txt`; any that is not BTR's, and none, mean APTrust's (02 §4.6).
    pub fn of(tags: &[Tag]) -> Self {
        let identifier = tags.value(BAG_INFO, PROFILE_IDENTIFIER).unwrap_or_default();
        let is_btr = ["/btr_bagit_profile", "/btr-bagit-profile"].iter().any(|part| identifier.contains(part));
        if is_btr { Self::Btr } else { Self::Aptrust }
    }

    /// The name of a file that holds the profile.
    pub fn file(self) -> &'static str {
        match self {
            Self::Aptrust => "aptrust-v2.3.json",
            Self::Btr => "btr-v1.0.json",
        }
    }

    /// The profile that is compiled in.
    pub fn profile(self) -> Profile {
        match self {
            Self::Aptrust => Profile::aptrust(),
            Self::Btr => Profile::btr(),
        }
    }
}

impl StorageOption {
    /// What is recorded.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(option) => option,
            Self::Illegal(option) => option,
            Self::Ignored(_) => STORAGE_OPTIONS[0],
        }
    }
}

impl Attributes {
    /// `item` is the name of the file that holds the bag; without its last extension it is the last resort for a title.
    pub fn of(tags: &[Tag], item: &str) -> Self {
        let first = |file: &str, label: &str| tags.value(file, label).unwrap_or_default().to_owned();
        let first_filled = |places: &[(&str, &str)]| {
            places.iter().find_map(|(file, label)| tags.filled(file, label)).map(str::to_owned)
        };
        let access = tags.filled(APTRUST_INFO, "Access").unwrap_or(ACCESS[1]);
        let title = [(APTRUST_INFO, "Title"), (BAG_INFO, "Internal-Identifier"), (BAG_INFO, "External-Identifier")];
        let description = [
            (APTRUST_INFO, "Description"),
            (BAG_INFO, "Internal-Sender-Description"),
            (BAG_INFO, "External-Description"),
        ];
        Self {
            access: known(&ACCESS, access).map_or_else(|| access.to_lowercase(), str::to_owned),
            title: first_filled(&title)
                .unwrap_or_else(|| item.rsplit_once('.').map_or(item, |(name, _)| name).to_owned()),
            description: first_filled(&description).unwrap_or_default(),
            internal_sender_identifier: first(BAG_INFO, "Internal-Sender-Identifier"),
            internal_sender_description: first(BAG_INFO, "Internal-Sender-Description"),
            bag_group_identifier: first(BAG_INFO, "Bag-Group-Identifier"),
            bagit_profile_identifier: first_filled(&[(BAG_INFO, PROFILE_IDENTIFIER)])
                .unwrap_or_else(|| DEFAULT_IDENTIFIER.to_owned()),
            source_organization: first(BAG_INFO, "Source-Organization"),
        }
    }
}

/// The one that is meant, in its own spelling (07 J73).
fn known(words: &[&'static str], value: &str) -> Option<&'static str> {
    words.iter().copied().find(|word| fold::same(word, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(file: &str, label: &str, value: &str) -> Tag {
        Tag { file: file.into(), label: label.into(), value: value.into(), line: 1 }
    }

    fn identifier(value: &str) -> Vec<Tag> {
        vec![tag(BAG_INFO, "BagIt-Profile-Identifier", value)]
    }

    #[test]
    fn the_profile_follows_from_the_first_identifier() {
        for value in [BTR_IDENTIFIER, "https://x/btr-bagit-profile.json", BTR_ALIASES[0], BTR_ALIASES[1]] {
            assert_eq!(settle(&mut identifier(value)).0, ProfileName::Btr, "{value}");
        }
        for value in [DEFAULT_IDENTIFIER, "", "https://example.org/our-profile.json", "btr-bagit-profile"] {
            assert_eq!(settle(&mut identifier(value)).0, ProfileName::Aptrust, "{value}");
        }
        assert_eq!(settle(&mut vec![tag(APTRUST_INFO, PROFILE_IDENTIFIER, BTR_IDENTIFIER)]).0, ProfileName::Aptrust);
        assert_eq!((ProfileName::Btr.file(), ProfileName::Aptrust.file()), ("btr-v1.0.json", "aptrust-v2.3.json"));
        assert_eq!(ProfileName::Btr.profile(), Profile::btr());
        assert_eq!(ProfileName::Aptrust.profile().identifier, DEFAULT_IDENTIFIER);
    }

    #[test]
    fn identifiers_are_brought_to_one_form_until_one_has_changed() {
        let settled = |values: &[&str]| {
            let mut tags: Vec<Tag> = values.iter().flat_map(|value| identifier(value)).collect();
            settle(&mut tags);
            tags.into_iter().filter(|tag| tag.file == BAG_INFO).map(|tag| tag.value).collect::<Vec<_>>()
        };
        assert_eq!(settled(&[BTR_ALIASES[0], BTR_ALIASES[1]]), [BTR_IDENTIFIER, BTR_ALIASES[1]]);
        assert_eq!(settled(&["x", "", ""]), ["x", DEFAULT_IDENTIFIER, ""]);
        let mut other = vec![tag(BAG_INFO, "bagit-profile-identifier", "")];
        settle(&mut other);
        assert_eq!(other[0].value, "", "the label has to match exactly");
    }

    #[test]
    fn an_aptrust_bag_without_storage_option_gets_the_tag() {
        let mut tags = vec![];
        assert_eq!(settle(&mut tags).1, StorageOption::Known("Standard"));
        assert_eq!(tags, [Tag { line: 0, ..tag(APTRUST_INFO, "Storage-Option", "Standard") }]);
    }

    #[test]
    fn a_storage_option_is_known_without_case_and_kept_as_it_is_if_it_is_not() {
        let settled = |value: &str| settle(&mut vec![tag(APTRUST_INFO, "storage-option", value)]).1;
        assert_eq!(settled("glacier-deep-oh"), StorageOption::Known("Glacier-Deep-OH"));
        assert_eq!(settled("waſabi-tx"), StorageOption::Known("Wasabi-TX"));
        for value in ["", "Cardboard-Box"] {
            assert_eq!(settled(value), StorageOption::Illegal(value.into()));
            assert_eq!(settled(value).as_str(), value);
        }
    }

    #[test]
    fn a_btr_bag_has_its_own_tag_and_a_wrong_value_means_standard() {
        let settled = |value: &str| {
            let mut tags = identifier(BTR_IDENTIFIER);
            tags.extend([
                tag(APTRUST_INFO, "Storage-Option", "Glacier-OH"),
                tag(BAG_INFO, "APTrust-Storage-Option", value),
            ]);
            settle(&mut tags).1
        };
        assert_eq!(settled("Wasabi-TX"), StorageOption::Known("Wasabi-TX"));
        assert_eq!(settled("Shelf"), StorageOption::Ignored("Shelf".into()));
        assert_eq!(settled("Shelf").as_str(), "Standard");
        assert_eq!(settle(&mut identifier(BTR_IDENTIFIER)).1, StorageOption::Known("Standard"));
    }

    #[test]
    fn attributes_have_their_order_of_places() {
        let none = Attributes::of(&[], "example.edu.bag.tar");
        assert_eq!(
            (none.access.as_str(), none.title.as_str(), none.description.as_str()),
            ("institution", "example.edu.bag", "")
        );
        assert_eq!(
            (none.bagit_profile_identifier.as_str(), none.source_organization.as_str()),
            (DEFAULT_IDENTIFIER, "")
        );
        let tags = [
            tag(APTRUST_INFO, "Title", ""),
            tag(APTRUST_INFO, "access", "CONSORTIA"),
            tag(BAG_INFO, "External-Identifier", "external"),
            tag(BAG_INFO, "External-Description", "described outside"),
            tag(BAG_INFO, "Internal-Sender-Identifier", "box-17"),
            tag(BAG_INFO, "Internal-Sender-Description", "Letters"),
            tag(BAG_INFO, "Bag-Group-Identifier", "group"),
            tag(BAG_INFO, "Source-Organization", "Example University"),
            tag(BAG_INFO, "BagIt-Profile-Identifier", "https://example.org/p.json"),
        ];
        let expected = Attributes {
            access: "consortia".into(),
            title: "external".into(),
            description: "Letters".into(),
            internal_sender_identifier: "box-17".into(),
            internal_sender_description: "Letters".into(),
            bag_group_identifier: "group".into(),
            bagit_profile_identifier: "https://example.org/p.json".into(),
            source_organization: "Example University".into(),
        };
        assert_eq!(Attributes::of(&tags, "x"), expected);
        let title = |extra: [Tag; 2]| Attributes::of(&[&tags[..], &extra].concat(), "x").title;
        assert_eq!(title([tag(BAG_INFO, "Internal-Identifier", "internal"), tag(BAG_INFO, "Title", "no")]), "internal");
        assert_eq!(title([tag(APTRUST_INFO, "Title", "second"), tag(BAG_INFO, "Internal-Identifier", "no")]), "second");
    }
}
