//! Single files (03 §3).

use model::{Action, IntellectualObject, State, Status, StorageOption, Topic, WorkItem};
use stack::s3::{FaultKind, Operation};

use crate::place::{OR, Place, TARGET, VA};

const PATH: &str = "data/a b/ä ~%.txt";

fn contents(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

async fn asked(place: &Place, bytes: &[u8]) -> (IntellectualObject, WorkItem) {
    let object = place.object("bag", &StorageOption::Standard, &[(PATH, bytes.to_vec())], |_| ()).await;
    let id = place.file(&object, PATH).await.id;
    let item = place.request(Action::RestoreFile, &object, id).await;
    (object, item)
}

async fn restored(place: &Place, item: &WorkItem, status: Status) -> WorkItem {
    place.restored(place.start_file(), Topic::RestoreFile, item, status).await
}

fn key() -> String {
    format!("test.edu/bag/{PATH}")
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_03_k1_k2_a_file_is_restored_under_its_identifier_and_the_note_says_where() {
    for length in [0, 1, 200_000, 20 << 20] {
        let place = Place::new().await;
        let (_, item) = asked(&place, &contents(length)).await;
        let item = restored(&place, &item, Status::Success).await;
        let note = format!("File {0} restored to https://s3.amazonaws.com/{TARGET}/{0}.", key());
        assert_eq!((item.note.as_str(), item.outcome.as_str()), (note.as_str(), "File restoration complete"));
        assert!(place.fetched(&key()).await.is_some_and(|found| found == contents(length)), "{length} bytes");
        let stat = place.bucket(TARGET).stat(&key()).await.unwrap();
        assert_eq!((stat.content_type.as_deref(), stat.metadata.len()), (Some("application/octet-stream"), 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_registry_says_fails_with_both_digests_and_leaves_nothing() {
    let place = Place::new().await;
    let (object, item) = asked(&place, b"right").await;
    let file = place.file(&object, PATH).await;
    for bucket in [VA, OR] {
        place.damage(bucket, &file, b"wrong".to_vec()).await;
    }
    let item = restored(&place, &item, Status::Failed).await;
    for digest in [
        digests::Digests::of(digests::Algorithm::Sha256, b"right"),
        digests::Digests::of(digests::Algorithm::Sha256, b"wrong"),
    ] {
        assert!(item.note.contains(digest.get(digests::Algorithm::Sha256).unwrap()), "{}", item.note);
    }
    assert_eq!(place.fetched(&key()).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_best_copy_takes_the_place_of_one_that_is_missing_wrong_or_denied() {
    for trouble in ["missing", "wrong", "longer", "denied"] {
        let place = Place::new().await;
        let (object, item) = asked(&place, b"right").await;
        let file = place.file(&object, PATH).await;
        match trouble {
            "missing" => drop(place.bucket(VA).delete(&file.uuid).await.unwrap()),
            "wrong" => place.damage(VA, &file, b"wrong".to_vec()).await,
            "longer" => place.damage(VA, &file, b"right and more".to_vec()).await,
            _ => {
                let kind = FaultKind::Status { status: 403, code: "AccessDenied".to_owned() };
                place.s3.faults().add(Place::fault(VA, Operation::GetObject, kind)).unwrap();
            }
        }
        let item = restored(&place, &item, Status::Success).await;
        assert_eq!(place.fetched(&key()).await.unwrap(), b"right", "{trouble}");
        assert!(item.note.contains(&format!("in {VA}. File ")), "{trouble}: {}", item.note);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_and_one_without_copies_are_refused_at_once() {
    let place = Place::new().await;
    let files = [(PATH, b"gone".to_vec())];
    let object = place.object("bag", &StorageOption::Standard, &files, |file| file.state = State::Deleted).await;
    let item = place.request(Action::RestoreFile, &object, place.file(&object, PATH).await.id).await;
    let item = restored(&place, &item, Status::Failed).await;
    assert!(item.note.contains("is deleted"), "{}", item.note);
    let object = place
        .object("other", &StorageOption::Standard, &[(PATH, b"x".to_vec())], |file| {
            file.storage_records[0].url = "https://elsewhere.org/x/y".to_owned();
            file.storage_records.as_vec().truncate(1);
        })
        .await;
    let item = place.request(Action::RestoreFile, &object, place.file(&object, PATH).await.id).await;
    let item = restored(&place, &item, Status::Failed).await;
    let text = format!(
        "Could not find any suitable restoration source for test.edu/other/{PATH}. \
         (1 preservation URLS, 11 PreservationBuckets)"
    );
    assert_eq!(item.note, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_checksum_is_never_called_restored() {
    let place = Place::new().await;
    let files = [(PATH, b"x".to_vec())];
    let object = place.object("bag", &StorageOption::Standard, &files, |file| file.checksums.as_vec().clear()).await;
    let item = place.request(Action::RestoreFile, &object, place.file(&object, PATH).await.id).await;
    let item = restored(&place, &item, Status::Failed).await;
    assert!(item.note.contains("no checksum"), "{}", item.note);
    assert_eq!(place.fetched(&key()).await, None);
}
