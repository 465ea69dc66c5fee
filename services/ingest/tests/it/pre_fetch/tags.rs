//! Tags and storage options in pre-fetch: what is kept of them, and where a bag's files are to go (02 §4.5 to 4.8).

use model::{IngestFile, StorageOption};

use crate::receiving::{Place, tar};

const BTR: &str = "BagIt-Profile-Identifier: \
     https://raw.githubusercontent.com/dpscollaborative/btr_bagit_profile/master/btr-bagit-profile.json\n";

/// The option that a bag with these tag files gets, which all its files must have.
async fn option(place: &Place, bag_info: &str, aptrust_info: &str) -> StorageOption {
    let lines: Vec<String> = (0..600).map(|number| format!("00 data/absent-{number}")).collect();
    let bag = tar(&[
        ("bag/data/a", b"a"),
        ("bag/bag-info.txt", bag_info.as_bytes()),
        ("bag/aptrust-info.txt", aptrust_info.as_bytes()),
        ("bag/manifest-md5.txt", lines.join("\n").as_bytes()),
        ("bag/data/b", b"b"),
    ]);
    let (_, object, files) = place.good(bag).await;
    let other = files.values().find(|file| file.storage_option != object.storage_option);
    assert_eq!(other.map(IngestFile::identifier), None, "{}", object.storage_option);
    assert_eq!(files.len(), 605);
    object.storage_option
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_17_a_storage_option_is_stored_in_its_own_spelling() {
    let place = Place::new().await;
    assert_eq!(option(&place, "", "Storage-Option: glacier-DEEP-oh\n").await, StorageOption::GlacierDeepOh);
    assert_eq!(option(&place, "", "").await, StorageOption::Standard);
    // The validator judges it.
    assert_eq!(option(&place, "", "Storage-Option: Cardboard-Box\n").await, "Cardboard-Box".into());
    assert_eq!(option(&place, "", "Storage-Option:\n").await, "".into());
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_18_a_btr_bag_may_ask_for_texas() {
    let place = Place::new().await;
    let asks = |option: &str| format!("{BTR}APTrust-Storage-Option: {option}\n");
    assert_eq!(option(&place, &asks("Wasabi-TX"), "").await, StorageOption::WasabiTx);
    assert_eq!(option(&place, &asks("Shelf"), "Storage-Option: Glacier-OH\n").await, StorageOption::Standard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_has_one_identifier() {
    let place = Place::new().await;
    let (_, object, _) = place.good(tar(&[("bag/bag-info.txt", BTR.as_bytes())])).await;
    let identifier = object.tag_value("bag-info.txt", "BagIt-Profile-Identifier");
    assert_eq!(identifier, Some(bagit::aptrust::BTR_IDENTIFIER));
}

/// Upstream splits `Title:http://x.org:80 b` at the last colon of its first word.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_11_a_label_ends_at_the_first_colon() {
    let place = Place::new().await;
    let info = "Title:http://x.org:80 b\n  and\tmore \nBag Count: 1\nName: caf\u{e9}\n".as_bytes();
    let cut = [info, b"Odd: \xff\n"].concat();
    let (_, object, _) = place.good(tar(&[("bag/aptrust-info.txt", &cut)])).await;
    let tags: Vec<_> = object.tags.iter().map(|tag| (&*tag.tag_name, &*tag.value)).collect();
    let expected = [
        ("Title", "http://x.org:80 b and\tmore Bag Count: 1"),
        ("Name", "café"),
        ("Odd", "\u{fffd}"),
        ("Storage-Option", "Standard"),
    ];
    assert_eq!(tags, expected);
}

/// Upstream drops the rest of a manifest with a line of 64 KiB, and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_12_long_lines_are_read_or_refused() {
    let place = Place::new().await;
    let blank = format!("{}\n01 data/a\n", " ".repeat(70_000));
    let (_, _, files) = place.good(tar(&[("bag/manifest-md5.txt", blank.as_bytes()), ("bag/data/a", b"")])).await;
    assert_eq!(files["data/a"].checksums.len(), 5);
    let long = format!("01 data/a\n01 {}\n", "x".repeat(1 << 20));
    let note = place.refused(tar(&[("bag/manifest-md5.txt", long.as_bytes())])).await;
    assert_eq!(note, "Error reading manifest 'manifest-md5.txt': line 2 is too long");
    let long = format!("Title: x\nDescription: {}\n", "x".repeat(1 << 16));
    let note = place.refused(tar(&[("bag/aptrust-info.txt", long.as_bytes())])).await;
    assert_eq!(note, "Error reading tag file 'aptrust-info.txt': line 2 is too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tags_than_fit_into_one_document_are_refused() {
    let place = Place::new().await;
    let line = format!("Description: {}\n", "x".repeat(60_000));
    let note = place.refused(tar(&[("bag/bag-info.txt", line.repeat(150).as_bytes())])).await;
    assert_eq!(note, "Error reading tag file 'bag-info.txt': the bag has more than 8 MiB of tags");
}
