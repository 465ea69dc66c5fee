//! Against the embedded Registry: what is written is read back, lists and lookups find what is there, and a fault between
//! the two changes nothing twice.

use futures_util::TryStreamExt as _;
use model::{
    Action, Algorithm, Checksum, EventType, GenericFile, IntellectualObject, Outcome, PremisEvent, Stage, State,
    Status, StorageOption, StorageRecord, Time, WorkItem,
};
use registry::{Client, Kind, Listed, Query, Settings};
use stack::registry::{Fault, Fixtures, Options, Registry};

use super::server::{ends, limits};

pub(crate) fn start() -> (Registry, Client) {
    let registry = Registry::start(Options { fixtures: Fixtures::Upstream, ..Options::default() }).unwrap();
    let client = as_user(&registry, "system@aptrust.org", "password");
    (registry, client)
}

pub(crate) fn as_user(registry: &Registry, user: &str, key: &str) -> Client {
    Client::new(Settings { url: &registry.url(), version: "v3", user, key }, limits()).unwrap()
}

fn now() -> Time {
    Time::now()
}

pub(crate) fn uuid(number: i64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

pub(crate) async fn all<T: Listed>(client: &Client, query: Query) -> Vec<T> {
    ends(client.all(query).try_collect()).await.unwrap()
}

pub(crate) fn event(event_type: EventType, number: i64) -> PremisEvent {
    PremisEvent {
        agent: "https://example.edu/agent".into(),
        date_time: now(),
        detail: "a detail".into(),
        event_type,
        identifier: uuid(number),
        institution_id: 2,
        intellectual_object_id: 1,
        object: "an object".into(),
        outcome: Outcome::Success,
        outcome_detail: "more".into(),
        outcome_information: "most".into(),
        ..PremisEvent::default()
    }
}

pub(crate) fn file(number: i64) -> GenericFile {
    let algorithms = [(Algorithm::Md5, "11"), (Algorithm::Sha256, "22")];
    GenericFile {
        checksums: algorithms
            .map(|(algorithm, digest)| Checksum {
                algorithm,
                digest: digest.into(),
                datetime: now(),
                ..Checksum::default()
            })
            .into_iter()
            .collect(),
        file_format: "text/plain".into(),
        identifier: format!("institution1.edu/photos/data/new {number} \u{202f}& more?.txt"),
        institution_id: 2,
        intellectual_object_id: 1,
        last_fixity_check: now(),
        premis_events: [event(EventType::Ingestion, number)].into_iter().collect(),
        size: 0,
        state: State::Active,
        storage_option: StorageOption::Standard,
        storage_records: [StorageRecord { url: format!("https://s3/b/{}", uuid(number)), ..StorageRecord::default() }]
            .into_iter()
            .collect(),
        uuid: uuid(number),
        ..GenericFile::default()
    }
}

pub(crate) fn object() -> IntellectualObject {
    IntellectualObject {
        access: model::Access::Institution,
        bag_name: "new".into(),
        etag: "abc".into(),
        identifier: "test.edu/new".into(),
        institution_id: 4,
        state: State::Active,
        storage_option: StorageOption::WasabiTx,
        title: "A <new> & nice one".into(),
        ..IntellectualObject::default()
    }
}

fn item() -> WorkItem {
    WorkItem {
        action: Action::Ingest,
        bag_date: "2026-03-04T05:06:07Z".parse().unwrap(),
        bucket: "aptrust.receiving.test.test.edu".into(),
        date_processed: now(),
        etag: "0123456789abcdef0123456789abcdef".into(),
        institution_id: 4,
        name: "a <bag> & more.tar".into(),
        retry: true,
        stage: Stage::Receive,
        status: Status::Pending,
        user: "system@aptrust.org".into(),
        ..WorkItem::default()
    }
}

#[tokio::test]
async fn what_is_there_is_found() {
    let (_registry, client) = start();
    let institutions: Vec<model::Institution> = all(&client, Query::new().sort("name").per_page(2)).await;
    assert_eq!(institutions.len(), 5);
    assert!(institutions.iter().all(|i| i.id > 0 && !i.receiving_bucket.is_empty() && !i.restore_bucket.is_empty()));
    let institution = ends(client.institution("institution1.edu")).await.unwrap();
    assert_eq!(ends(client.institution(institution.id)).await.unwrap(), institution);

    let object = ends(client.object("institution1.edu/photos")).await.unwrap();
    assert_eq!(ends(client.object(1)).await.unwrap(), object);
    let texts = [object.title.as_str(), &object.etag, &object.bag_name, &object.institution_identifier];
    assert_eq!(texts, ["First Object for Institution One", "etagforinst1photos", "photos.tar", "institution1.edu"]);
    let standard = Query::new().filter("state", "A").filter("storage_option", "Standard").per_page(3);
    assert_eq!(all::<IntellectualObject>(&client, standard).await.len(), 8);

    let file = ends(client.file(1)).await.unwrap();
    assert_eq!(ends(client.file(&file.identifier)).await.unwrap(), file);
    assert_eq!((file.size, file.file_format.as_str()), (243_855_000, "image/jpeg"));
    assert_eq!((file.checksums.len(), file.premis_events.len(), file.storage_records.len()), (2, 4, 2));
    let files = Query::new().filter("institution_id", 2).filter("storage_option", "Standard").sort("identifier");
    let files: Vec<GenericFile> = all(&client, files.per_page(4)).await;
    assert_eq!(files.len(), 11);
    assert!(files.is_sorted_by(|a, b| a.identifier < b.identifier));

    assert_eq!(file.latest_checksum(&Algorithm::Md5).unwrap().digest, "12345678");
    let event = ends(client.event("a966ca54-ee5b-4606-81bd-7653dd5f3a63")).await.unwrap();
    assert_eq!((ends(client.event(1)).await.unwrap(), &event.event_type), (event.clone(), &EventType::Ingestion));
    assert_eq!(all::<PremisEvent>(&client, Query::new().filter("institution_id", 2)).await.len(), 27);
    let item = ends(client.work_item(1)).await.unwrap();
    assert_eq!((&item.action, item.institution_id, item.name.as_str()), (&Action::Ingest, 2, "fake_bag_01.tar"));
    let items = Query::new().filter("institution_id", 2).any_of("action", [Action::Ingest]).sort("name__desc");
    assert_eq!(all::<WorkItem>(&client, items.per_page(5)).await.len(), 13);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_registry, client) = start();
    for key in ["institution1.edu/no such bag", "x", ""] {
        let error = ends(client.object(key)).await.unwrap_err();
        assert!(error.is_not_found() && !error.is_transient(), "{error}");
    }
    assert!(ends(client.object(0)).await.unwrap_err().is_not_found());
    assert!(ends(client.work_item(999_999)).await.unwrap_err().is_not_found());
    let nothing = Query::new().filter("name", "no such item");
    let page = ends(client.list::<WorkItem>(&nothing)).await.unwrap();
    assert_eq!((page.count, page.results.len(), page.next_query()), (0, 0, None));
    assert_eq!(all::<WorkItem>(&client, Query::new().filter("name", "no such item")).await, []);
    let error = ends(client.list::<WorkItem>(&Query::new().filter("colour", "red"))).await.unwrap_err();
    assert!(error.to_string().contains("Invalid query params: colour") && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let (registry, _) = start();
    for (user, key, status) in [
        ("system@aptrust.org", "wrong", 401),
        ("nobody@aptrust.org", "password", 401),
        ("", "", 401),
        ("user@inst1.edu", "password", 403),
    ] {
        let error = ends(as_user(&registry, user, key).object(1)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Unauthorized { .. }), "{error}");
        assert_eq!(error.status().unwrap().as_u16(), status, "{error}");
    }
}

#[tokio::test]
async fn objects_are_created_and_updated() {
    let (_registry, client) = start();
    let object = object();
    let created = ends(client.save_object(&object)).await.unwrap();
    assert!(created.id > 0 && created.created_at.is_set() && created.title == object.title);
    let changed = IntellectualObject { description: "changed".into(), ..created };
    ends(client.save_object(&changed)).await.unwrap();
    let read = ends(client.object("test.edu/new")).await.unwrap();
    assert_eq!(
        (read.id, read.description.as_str(), &read.storage_option),
        (changed.id, "changed", &StorageOption::WasabiTx)
    );
    let error = ends(client.save_object(&object)).await.unwrap_err();
    assert!(error.is_duplicate() && !error.is_transient(), "{error}");
    let error = ends(client.save_object(&IntellectualObject { title: String::new(), ..object })).await.unwrap_err();
    assert!(error.to_string().contains("Title is required") && error.status().unwrap().as_u16() == 400, "{error}");
}

#[tokio::test]
async fn work_items_are_created_and_replaced() {
    let (_registry, client) = start();
    let created = ends(client.save_work_item(&item())).await.unwrap();
    let mut read = ends(client.work_item(created.id)).await.unwrap();
    assert_eq!(
        (read.name.as_str(), read.bag_date, read.queued_at.is_set()),
        ("a <bag> & more.tar", item().bag_date, false)
    );
    read.mark_started("host-1", 17, model::Topic::IngestPrefetch, now());
    ends(client.save_work_item(&read)).await.unwrap();
    let started = ends(client.work_item(created.id)).await.unwrap();
    assert_eq!((started.node.as_str(), started.pid, &started.status), ("host-1", 17, &Status::Started));
    read.release();
    read.intellectual_object_id = 1;
    ends(client.save_work_item(&read)).await.unwrap();
    let released = ends(client.work_item(created.id)).await.unwrap();
    assert_eq!((released.is_claimed(), released.object_identifier.as_str()), (false, "institution1.edu/photos"));
    let unclaimed =
        Query::new().filter("node__is_null", true).filter("queued_at__is_null", true).filter("name", &read.name);
    assert_eq!(all::<WorkItem>(&client, unclaimed).await.len(), 1);
}

#[tokio::test]
async fn files_are_created_together_or_not_at_all() {
    let (_registry, client) = start();
    let batch: Vec<GenericFile> = (1..=10).map(file).collect();
    let created = ends(client.create_files(2, &batch)).await.unwrap();
    for (sent, made) in batch.iter().zip(&created) {
        let read = ends(client.file(&sent.identifier)).await.unwrap();
        assert_eq!((read.id, &read.uuid, read.size), (made.id, &sent.uuid, 0));
        assert_eq!((read.checksums.len(), read.premis_events.len(), read.storage_records.len()), (2, 1, 1));
        assert_eq!(read.latest_checksum(&Algorithm::Sha256).unwrap().digest, "22");
    }
    let mixed = [file(11), file(1)];
    let error = ends(client.create_files(2, &mixed)).await.unwrap_err();
    assert!(error.is_duplicate(), "{error}");
    assert!(ends(client.file(&mixed[0].identifier)).await.unwrap_err().is_not_found());
    let error = ends(client.create_files(4, &[file(12)])).await.unwrap_err();
    assert!(error.to_string().contains("must match request institution ID"), "{error}");

    let mut known = ends(client.file(created[0].id)).await.unwrap();
    known.size = 99;
    ends(client.save_file(&known)).await.unwrap();
    let read = ends(client.file(created[0].id)).await.unwrap();
    assert_eq!((read.size, read.checksums.len()), (99, 2), "records with ids are not added again");
}

#[tokio::test]
async fn events_are_added() {
    let (_registry, client) = start();
    let copies: Vec<StorageRecord> = all(&client, Query::new().filter("generic_file_id", 1)).await;
    assert_eq!(copies.len(), 2);
    let check = PremisEvent { generic_file_id: 1, outcome: Outcome::Failed, ..event(EventType::FixityCheck, 77) };
    ends(client.create_event(&check)).await.unwrap();
    let read = ends(client.event(&check.identifier)).await.unwrap();
    assert_eq!((&read.outcome, read.generic_file_id), (&Outcome::Failed, 1));
    let file = ends(client.file(1)).await.unwrap();
    // The database keeps microseconds.
    assert!((file.last_fixity_check.inner() - check.date_time.inner()).whole_microseconds().abs() <= 1);
    assert!(ends(client.create_event(&check)).await.unwrap_err().is_duplicate());
}

#[tokio::test]
async fn deletions_are_prepared_and_carried_out() {
    let (registry, client) = start();
    let created = ends(client.create_files(2, &[file(1)])).await.unwrap().remove(0);
    let item = registry.store().prepare_file_delete(created.id).unwrap();
    let item = ends(client.work_item(item.id)).await.unwrap();
    assert_eq!((&item.action, item.generic_file_id), (&Action::Delete, created.id));
    ends(client.delete_file(created.id)).await.unwrap();
    assert_eq!(ends(client.file(created.id)).await.unwrap().state, State::Deleted);
    let error = ends(client.delete_object(999_999)).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn a_connection_cut_after_the_fact_changes_nothing_twice() {
    let (registry, client) = start();
    let base = "/admin-api/v3/";
    registry.faults().add(&format!("{base}events/create"), Fault::CutAfter, 1);
    let made = event(EventType::Ingestion, 5);
    let error = ends(client.create_event(&made)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(
        ends(client.event(&made.identifier)).await.unwrap().identifier,
        made.identifier,
        "look it up before a retry"
    );

    registry.faults().add(&format!("{base}items/create"), Fault::CutAfter, 1);
    assert!(ends(client.save_work_item(&item())).await.unwrap_err().is_transient());
    assert_eq!(all::<WorkItem>(&client, Query::new().filter("name", item().name)).await.len(), 1);

    registry.faults().add(&format!("{base}files/update"), Fault::CutAfter, 1);
    let created = ends(client.create_files(2, &[file(6)])).await.unwrap().remove(0);
    let again = GenericFile { id: created.id, ..file(7) };
    let again = GenericFile { identifier: created.identifier.clone(), uuid: created.uuid.clone(), ..again };
    assert!(ends(client.save_file(&again)).await.unwrap_err().is_transient());
    assert_eq!(ends(client.file(created.id)).await.unwrap().checksums.len(), 4, "they were added once more, not twice");

    for fault in [Fault::CutAfter, Fault::CutBefore, Fault::Status(503), Fault::Status(429)] {
        registry.faults().add(&format!("{base}items/"), fault, 2);
        let mut read = ends(client.work_item(1)).await.unwrap();
        read.note = format!("{fault:?}");
        registry.faults().clear();
        registry.faults().add_for("PUT", &format!("{base}items/"), fault, 2);
        ends(client.save_work_item(&read)).await.unwrap();
        assert_eq!(ends(client.work_item(1)).await.unwrap().note, read.note);
        registry.faults().clear();
    }
}
