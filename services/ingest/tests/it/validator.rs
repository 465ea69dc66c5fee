//! The validator: what makes a bag invalid, in the words that its depositor reads, and what is no fault of the bag.

use ingest::Validator;
use model::{Algorithm, ChecksumSource, IngestChecksum, Stage, Status, StorageOption, Time, Topic, WorkItem};
use worker::Rules;
use worker::settings::Profiles;

use crate::known::{Bag, Place, RECEIVING};

const RULES: Rules = Rules::ingest(Topic::IngestBagValidation, "Bag is valid");
const NO_PROFILES: Profiles = Profiles { directory: None };

/// The outcome of a bag that differs from a good one in this.
async fn judged(place: &Place, change: impl FnOnce(&mut Bag)) -> WorkItem {
    let (item, _) = place.item(Stage::Validate, change).await;
    ended(place, item.id).await
}

async fn ended(place: &Place, item: i64) -> WorkItem {
    ended_under(place, item, &NO_PROFILES).await
}

async fn ended_under(place: &Place, item: i64, profiles: &Profiles) -> WorkItem {
    let running = place.start(RULES, Validator::new(&place.ground().await, profiles).unwrap());
    place.world.publish(Topic::IngestBagValidation, item).await;
    let item = place.world.until(item, |item| item.stage != Stage::Validate || !item.retry).await;
    running.stop().await;
    item
}

fn mismatched(digest: &str) -> IngestChecksum {
    IngestChecksum::new(ChecksumSource::Manifest, Algorithm::Md5, digest, Time::now())
}

fn is_valid(item: &WorkItem) -> bool {
    item.stage == Stage::ReingestCheck && item.status == Status::Pending && item.note == "Bag is valid"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_bag_goes_on_and_nothing_else_is_written() {
    let place = Place::new().await;
    let item = judged(&place, |_| {}).await;
    assert!(is_valid(&item), "{item:?}");
    assert_eq!(place.world.depth("ingest03_reingest_check").await, 1);
    let file = place.file(&item, "data/a").await;
    assert!(file.needs_save && file.checksums.len() == 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_has_its_own_words() {
    type Change = fn(&mut Bag);
    let place = Place::new().await;
    let cases: [(Change, &str); 18] = [
        (
            |bag| bag.object.serialization = "application/zip".into(),
            "BagIt profile does not allow serialization format application/zip",
        ),
        (
            |bag| bag.object.serialization.clear(),
            "Bag is not serialized, but profile requires serialization in one of the following formats: application/tar",
        ),
        (|bag| bag.tag("BagIt-Version", None), "Missing required tag bagit.txt/BagIt-Version."),
        (
            |bag| bag.tag("BagIt-Version", Some("2.0")),
            "BagIt-Version 2.0 is not permitted in BagIt profile https://raw.githubusercontent.com/APTrust/preservation-services/master/profiles/aptrust-v2.3.json.",
        ),
        (|bag| bag.object.has_fetch_txt = true, "Bag has fetch.txt file which profile does not allow"),
        (|bag| bag.object.manifests.push("sha384".into()), "Bag contains illegal manifest 'sha384'"),
        (|bag| bag.object.manifests = vec!["sha256".to_owned()].into(), "Bag is missing required manifest 'md5'"),
        (|bag| bag.object.tag_manifests.push("sha3".into()), "Bag contains illegal tag manifest 'sha3'"),
        (
            |bag| {
                bag.tag("Title", None);
                bag.tag("Access", None);
            },
            "Required tag Title in file aptrust-info.txt is missing | Required tag Access in file aptrust-info.txt is missing",
        ),
        (|bag| bag.tag("Title", Some("")), "In file aptrust-info.txt, required tag Title has no value"),
        (
            |bag| bag.tag("Access", Some("Hands Off!")),
            "In file aptrust-info.txt, tag Access has illegal value 'Hands Off!'",
        ),
        (|bag| bag.tag("Title", Some("a\0b")), r"In file aptrust-info.txt, tag Title has illegal value 'a\0b'"),
        (
            |bag| bag.add_payload(r"data/x\u007f.txt"),
            r"File name 'data/x\u007f.txt' contains one or more illegal control characters",
        ),
        (
            |bag| {
                bag.add("data/c");
            },
            "File <id>/data/c is not in manifest manifest-md5.txt",
        ),
        (
            |bag| bag.file("data/a").checksums.as_vec().retain(|sum| sum.source != ChecksumSource::Ingest),
            "File <id>/data/a in manifest-md5.txt is missing from bag",
        ),
        (
            |bag| bag.file("data/a").set_checksum(mismatched("00")),
            "File <id>/data/a: ingest md5 checksum <md5> doesn't match manifest checksum 00",
        ),
        (
            |bag| bag.file("manifest-md5.txt").checksums.as_vec().retain(|sum| sum.source == ChecksumSource::Ingest),
            "File <id>/manifest-md5.txt is not in manifest tagmanifest-md5.txt",
        ),
        // The right digest, and a wrong one behind it: ruling J.68.
        (
            |bag| bag.file("data/a").checksums.push(mismatched("00")),
            "File <id>/data/a: ingest md5 checksum <md5> doesn't match manifest checksum 00",
        ),
    ];
    let md5 = digests::Digests::of(digests::Algorithm::Md5, b"data/a");
    for (change, expected) in cases {
        let item = judged(&place, change).await;
        let expected = expected
            .replace("<id>", &model::identifier::of_object("test.edu", &item.name))
            .replace("<md5>", md5.get(digests::Algorithm::Md5).unwrap());
        assert_eq!(
            (item.note.as_str(), &item.status, &item.stage),
            (expected.as_str(), &Status::Failed, &Stage::Validate)
        );
        assert_eq!(
            (item.outcome.as_str(), item.retry, item.needs_admin_review),
            ("Ingest failed due to fatal error.", false, true)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_profiles_do_not_look_at_makes_no_bag_invalid() {
    let place = Place::new().await;
    let kept = judged(&place, |bag| {
        // Values in any case, an empty payload, an odd file, a tag manifest that no list has, a wrong Payload-Oxum.
        bag.tag("Access", Some("CONSORTIA"));
        bag.tag("Storage-Option", Some("glacier-deep-oh"));
        bag.object.tags.push(model::Tag::new("bag-info.txt", "Payload-Oxum", "1.1"));
        bag.files.retain(|file| !file.path_in_bag.starts_with("data/"));
        bag.add(".DS_Store");
    });
    assert!(is_valid(&kept.await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_btr_bag_is_judged_by_its_own_profile() {
    let place = Place::new().await;
    let item = judged(&place, |bag| {
        let identifier = model::Tag::new("bag-info.txt", "BagIt-Profile-Identifier", bagit::aptrust::BTR_IDENTIFIER);
        bag.object.tags.push(identifier);
    });
    let missing =
        ["Bagging-Date", "Payload-Oxum"].map(|tag| format!("Required tag {tag} in file bag-info.txt is missing"));
    assert_eq!(item.await.note, missing.join(" | "));
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_reasons_are_told_in_the_order_of_paths_and_then_too_many() {
    let place = Place::new().await;
    let of = |count: usize| {
        move |bag: &mut Bag| {
            for number in 0..count {
                bag.add(&format!("data/{number:03}"));
            }
        }
    };
    let told = |item: &WorkItem| item.note.split(" | ").map(str::to_owned).collect::<Vec<_>>();
    let thirty = told(&judged(&place, of(30)).await);
    assert_eq!(thirty.len(), 30);
    assert!(thirty.is_sorted() && thirty[0].contains("data/000 ") && thirty[29].contains("data/029 "), "{thirty:?}");
    // More than one page of Redis.
    let many = told(&judged(&place, of(3000)).await);
    assert_eq!((many.len(), many[30].as_str()), (31, "Too many errors"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ruling_b_16_an_invalid_bag_keeps_all_that_it_has() {
    let place = Place::new().await;
    let (item, _) = place.item(Stage::Validate, |bag| bag.tag("Title", Some(""))).await;
    place.put(RECEIVING, &item.name).await;
    let item = ended(&place, item.id).await;
    assert_eq!(item.status, Status::Failed);
    assert!(!place.object(&item).await.unwrap().should_delete_from_receiving);
    assert_eq!(place.world.load(Topic::IngestCleanup).await, (0, 0, 0), "nothing is published to cleanup");
    assert_eq!(place.keys(RECEIVING).await, [item.name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_13_digests_match_in_any_case() {
    let place = Place::new().await;
    let upper = judged(&place, |bag| {
        for checksum in bag.file("data/a").checksums.iter_mut().filter(|sum| sum.source == ChecksumSource::Manifest) {
            checksum.digest = checksum.digest.to_uppercase();
        }
    });
    assert!(is_valid(&upper.await));
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_14_tag_manifests_are_checked_whatever_their_algorithm() {
    let place = Place::new().await;
    let with_sha256 = |digest: &'static str| {
        move |bag: &mut Bag| {
            bag.object.tag_manifests = vec!["sha256".to_owned()].into();
            bag.list("manifest-md5.txt", ChecksumSource::TagManifest, Algorithm::Sha256);
            let sum = IngestChecksum::new(ChecksumSource::TagManifest, Algorithm::Sha256, digest, Time::now());
            if !digest.is_empty() {
                bag.file("bag-info.txt").set_checksum(sum);
            }
        }
    };
    assert!(is_valid(&judged(&place, with_sha256("")).await));
    let note = judged(&place, with_sha256("00")).await.note;
    assert!(note.contains("/bag-info.txt: ingest sha256 checksum") && note.ends_with("checksum 00"), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_15_a_failure_of_redis_is_no_verdict() {
    let place = Place::new().await;
    let (item, _) = place.item(Stage::Validate, |_| {}).await;
    place.world.put(item.id, "file:test.edu/x/data/torn", "{").await;
    let item = ended(&place, item.id).await;
    assert_eq!(item.status, Status::Started, "{}", item.note);
    let note = &item.note;
    assert!(note.starts_with("Internal error during validation: could not get file info from cache: "), "{note}");
    assert!(
        note.contains("This is a system error, not a problem with the bag. Will not retry: failed 3 times."),
        "{note}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_33_a_profile_that_cannot_be_read_stops_the_start() {
    let place = Place::new().await;
    let ground = place.ground().await;
    let folder = tempfile::tempdir().unwrap();
    let profiles = Profiles { directory: Some(folder.path().to_owned()) };
    assert!(Validator::new(&ground, &profiles).is_ok(), "those that are compiled in will do");
    std::fs::write(folder.path().join("btr-v1.0.json"), "{").unwrap();
    let error = format!("{:#}", Validator::new(&ground, &profiles).unwrap_err());
    assert!(error.contains("btr-v1.0.json in PROFILES_DIR is no profile"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ruling_c_24_a_profile_in_the_directory_takes_the_place_of_the_own_one() {
    let place = Place::new().await;
    let folder = tempfile::tempdir().unwrap();
    let strict = r#"{"acceptBagItVersion":["0.97"],"bagItProfileInfo":{"bagItProfileIdentifier":"ours"},"tags":[]}"#;
    std::fs::write(folder.path().join("aptrust-v2.3.json"), strict).unwrap();
    let (item, _) = place.item(Stage::Validate, |_| {}).await;
    let profiles = Profiles { directory: Some(folder.path().to_owned()) };
    let item = ended_under(&place, item.id, &profiles).await;
    assert_eq!(item.note, "BagIt-Version 1.0 is not permitted in BagIt profile ours.");
}

#[tokio::test(flavor = "multi_thread")]
async fn ruling_c_22_a_path_that_s3_cannot_keep_is_refused() {
    let place = Place::new().await;
    // As many bytes in Standard, and six times as many where Wasabi wants it encoded.
    let path = format!("data/{}", "é".repeat(400));
    assert!(is_valid(&judged(&place, |bag| bag.add_payload(&path)).await));
    let item = judged(&place, |bag| {
        bag.add_payload(&path);
        bag.object.storage_option = StorageOption::WasabiOr;
    });
    assert_eq!(item.await.note, format!("File name '{path}' is too long to store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_is_killed_is_followed_by_another() {
    let place = Place::new().await;
    let (item, _) = place
        .item(Stage::Validate, |bag| (0..20_000).for_each(|number| bag.add_payload(&format!("data/{number}"))))
        .await;
    place.world.publish(Topic::IngestBagValidation, item.id).await;
    let running = place.start(RULES, Validator::new(&place.ground().await, &NO_PROFILES).unwrap());
    place.world.until(item.id, |item| item.status == Status::Started).await;
    running.kill();
    let running = place.start(RULES, Validator::new(&place.ground().await, &NO_PROFILES).unwrap());
    place.world.until(item.id, is_valid).await;
    running.stop().await;
}
