//! The bucket reader on embedded servers: what becomes an item, what does not, and what is made up for (02 §2; rulings B).

use std::time::Duration;

use ingest::BucketReader;
use model::{Access, Action, IntellectualObject, Stage, State, Status, StorageOption, Time, Topic, WorkItem};
use nsq::Publisher;
use registry::Query;
use stack::registry::Fault;
use stack::scripted::{Scripted, Then};
use storage::Attributes;
use worker::{CancellationToken, Part, Pass, Program, Scan as _, Scanner};

use crate::receiving::{Place, RECEIVING};

const ETAG: &str = "4a82715423d654d61838e81060a4cdf1";

impl Place {
    fn reader(&self) -> BucketReader {
        let world = &self.world;
        BucketReader::new(world.client.clone(), world.publisher.clone(), self.storage.clone()).unwrap()
    }

    /// Puts a bag there whose `ETag` is [`ETAG`].
    async fn upload(&self, key: &str) {
        let receiving = self.storage.bucket(&model::Provider::Aws, RECEIVING).unwrap();
        let stored = receiving.put_bytes(key, "bag".into(), Attributes::default()).await.unwrap();
        assert_eq!(stored.etag.as_str(), ETAG);
    }

    /// An item of the bag `key`.
    async fn known(&self, key: &str, change: impl FnOnce(&mut WorkItem)) -> WorkItem {
        let change = |item: &mut WorkItem| {
            key.clone_into(&mut item.name);
            ETAG.clone_into(&mut item.etag);
            item.queued_at = Time::now();
            change(item);
        };
        self.world.item(Action::Ingest, Stage::Receive, change).await
    }

    /// The items of a bag, the oldest first.
    async fn of(&self, key: &str) -> Vec<WorkItem> {
        let query = Query::new().filter("name", key).sort("id").per_page(100);
        self.world.client.list(&query).await.unwrap().results.into_iter().collect()
    }

    async fn preserved(&self, name: &str, state: State) -> i64 {
        let object = IntellectualObject {
            access: Access::Institution,
            bag_name: name.to_owned(),
            etag: ETAG.to_owned(),
            identifier: format!("test.edu/{name}"),
            institution_id: 4,
            state,
            storage_option: StorageOption::Standard,
            title: name.to_owned(),
            ..IntellectualObject::default()
        };
        self.world.client.save_object(&object).await.unwrap().id
    }
}

/// One scan of the bucket.
async fn scan(reader: &BucketReader) -> anyhow::Result<()> {
    let part = Part::Bucket(RECEIVING.to_owned());
    assert!(reader.parts().await?.contains(&part));
    reader.pass(&part, &Pass::new(CancellationToken::new())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_tar_becomes_an_item_whose_message_waits_until_that_is_noted() {
    let place = Place::new().await;
    place.upload("a b.tar").await;
    let reader = place.reader();
    scan(&reader).await.unwrap();
    scan(&reader).await.unwrap();
    let items = place.of("a b.tar").await;
    assert_eq!(items.len(), 1);
    let item = &items[0];
    assert_eq!((&item.action, &item.stage, &item.status), (&Action::Ingest, &Stage::Receive, &Status::Pending));
    assert_eq!((&*item.bucket, &*item.etag, item.size, item.institution_id), (RECEIVING, ETAG, 3, 4));
    assert_eq!((&*item.note, &*item.outcome), ("Bag is in receiving bucket", "Item is pending ingest"));
    assert_eq!((item.retry, &*item.user), (true, "system@aptrust.org"));
    assert!(item.queued_at.is_set() && item.bag_date.is_set() && item.date_processed.is_set(), "{item:?}");
    assert_eq!(place.world.load(Topic::IngestPrefetch).await, (0, 0, 1), "one message, which is deferred");
}

/// Upstream says that it skips them, and makes items of them.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_35_what_is_no_tar_or_has_no_name_is_skipped() {
    let place = Place::new().await;
    for key in ["a.zip", "folder/b.tar", ".tar", "c.TAR", "good.tar"] {
        place.upload(key).await;
    }
    scan(&place.reader()).await.unwrap();
    let all = place.world.client.list::<WorkItem>(&Query::new().per_page(100)).await.unwrap();
    let names: Vec<_> = all.results.iter().map(|item| &*item.name).collect();
    assert_eq!(names, ["good.tar"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bag_that_is_known_is_ingested_again_only_where_that_is_wanted() {
    let place = Place::new().await;
    let (active, deleted) =
        (place.preserved("active", State::Active).await, place.preserved("gone", State::Deleted).await);
    let before: Time = (Time::now().inner() - time::Duration::HOUR).into();
    let after: Time = (Time::now().inner() + time::Duration::HOUR).into();
    let of = |status: Status, object: i64, date: Time| {
        move |item: &mut WorkItem| {
            item.status = status;
            item.intellectual_object_id = object;
            item.bag_date = date;
        }
    };
    for (key, change, items) in [
        ("pending.tar", of(Status::Pending, 0, before), 1),
        ("started.tar", of(Status::Started, 0, before), 1),
        ("failed.tar", of(Status::Failed, 0, before), 1),
        ("preserved.tar", of(Status::Success, active, before), 1),
        ("deleted.tar", of(Status::Success, deleted, before), 2),
        ("without-object.tar", of(Status::Success, 0, before), 2),
        // Upstream takes these up again at every scan (rulings B.15).
        ("cancelled.tar", of(Status::Cancelled, 0, after), 1),
        ("suspended.tar", of(Status::Suspended, 0, after), 1),
        ("cancelled-uploaded-again.tar", of(Status::Cancelled, 0, before), 2),
        ("suspended-uploaded-again.tar", of(Status::Suspended, 0, before), 2),
    ] {
        place.known(key, change).await;
        place.upload(key).await;
        for _ in 0..2 {
            scan(&place.reader()).await.unwrap();
        }
        let found = place.of(key).await;
        assert_eq!(found.len(), items, "{key}");
        assert!(found[1..].iter().all(|item| item.status == Status::Pending && item.queued_at.is_set()), "{found:?}");
    }
    // An upload of its own, by its ETag.
    place.known("other.tar", |item| item.etag = "ffffffffffffffffffffffffffffffff".to_owned()).await;
    place.upload("other.tar").await;
    scan(&place.reader()).await.unwrap();
    assert_eq!(place.of("other.tar").await.len(), 2);
}

/// Upstream looks at the first hundred only.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_36_every_institution_is_looked_at_that_is_not_deactivated() {
    let place = Place::new().await;
    let institution = |id: u32, bucket: &str, state: &str| {
        format!(r#"{{"id":{id},"identifier":"i{id}.edu","receiving_bucket":"{bucket}","state":"{state}"}}"#)
    };
    let page = |next: &str, results: Vec<String>| {
        let body = format!(r#"{{"count":103,"next":"{next}","previous":"","results":[{}]}}"#, results.join(","));
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        (head + &body).into_bytes()
    };
    let first = (1..=100).map(|id| institution(id, &format!("receiving.{id}"), "A")).collect();
    // Deactivated, without a bucket, and with the bucket of another.
    let second = vec![
        institution(101, "receiving.101", "D"),
        institution(102, "", "A"),
        institution(103, "receiving.7", "A"),
        institution(104, "receiving.104", "A"),
    ];
    let next = "/admin-api/v3/institutions?page=2&per_page=100&sort=name";
    let registry = Scripted::start(vec![(vec![page(next, first), page("", second)], Then::Waits)]).await;
    let url = format!("http://{}", registry.address());
    let settings = registry::Settings { url: &url, version: "v3", user: "system@aptrust.org", key: "password" };
    let client = registry::Client::new(settings, registry::Limits::default()).unwrap();
    let reader = BucketReader::new(client, place.world.publisher.clone(), place.storage.clone()).unwrap();
    let mut expected: Vec<_> = (1..=100).chain([104]).map(|id| Part::Bucket(format!("receiving.{id}"))).collect();
    expected.sort_by_key(|part| format!("{part:?}"));
    assert_eq!(reader.parts().await.unwrap(), expected);
}

/// Upstream takes the error for an object that is not there, and ingests the bag once more.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_36_an_error_of_the_registry_starts_no_ingest() {
    let place = Place::new().await;
    let active = place.preserved("bag", State::Active).await;
    let preserved = |item: &mut WorkItem| {
        item.status = Status::Success;
        item.intellectual_object_id = active;
    };
    place.known("bag.tar", preserved).await;
    place.upload("bag.tar").await;
    place.upload("new.tar").await;
    let path = format!("/admin-api/v3/objects/show/{active}");
    place.world.registry.faults().add(&path, Fault::Status(403), usize::MAX);
    let error = scan(&place.reader()).await.unwrap_err().to_string();
    assert!(error.contains("1 bags of"), "{error}");
    assert_eq!((place.of("bag.tar").await.len(), place.of("new.tar").await.len()), (1, 1), "the others go on");
    place.world.registry.faults().clear();
    scan(&place.reader()).await.unwrap();
    assert_eq!(place.of("bag.tar").await.len(), 1);
}

/// Upstream's item waits for ever, since its bag is known.
#[tokio::test(flavor = "multi_thread")]
async fn defect_02_36_an_item_that_could_not_be_published_is_published_by_the_next_scan() {
    let place = Place::new().await;
    place.upload("bag.tar").await;
    let nowhere = Publisher::new("127.0.0.1:9").unwrap();
    let broken = BucketReader::new(place.world.client.clone(), nowhere, place.storage.clone()).unwrap();
    scan(&broken).await.unwrap_err();
    let items = place.of("bag.tar").await;
    assert!(items.len() == 1 && !items[0].queued_at.is_set(), "{items:?}");
    scan(&place.reader()).await.unwrap();
    let items = place.of("bag.tar").await;
    assert!(items.len() == 1 && items[0].queued_at.is_set(), "{items:?}");
    assert_eq!(place.world.load(Topic::IngestPrefetch).await, (0, 0, 1));
}

/// A worker has it, or an administrator does.
#[tokio::test(flavor = "multi_thread")]
async fn an_item_in_other_hands_is_not_published() {
    let place = Place::new().await;
    place.known("claimed.tar", |item| (item.queued_at, item.node) = (Time::UNSET, "go-host".to_owned())).await;
    place.known("held.tar", |item| (item.queued_at, item.retry) = (Time::UNSET, false)).await;
    place.known("later.tar", |item| (item.queued_at, item.stage) = (Time::UNSET, Stage::Validate)).await;
    for key in ["claimed.tar", "held.tar", "later.tar"] {
        place.upload(key).await;
    }
    scan(&place.reader()).await.unwrap();
    assert_eq!(place.world.load(Topic::IngestPrefetch).await, (0, 0, 0));
}

/// Two that know no leases, as Go's reader and ours (rulings B.13).
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_meet_leave_one_item_of_a_bag() {
    let place = Place::new().await;
    let keys: Vec<String> = (0..20).map(|number| format!("{number}.tar")).collect();
    for key in &keys {
        place.upload(key).await;
    }
    let (one, two) = (place.reader(), place.reader());
    let (one, two) = tokio::join!(scan(&one), scan(&two));
    one.unwrap();
    two.unwrap();
    scan(&place.reader()).await.unwrap();
    for key in &keys {
        let items = place.of(key).await;
        let alive: Vec<_> = items.iter().filter(|item| !item.is_completed()).collect();
        assert_eq!(alive.len(), 1, "{items:?}");
        assert!(alive[0].queued_at.is_set(), "{items:?}");
    }
}

/// As the service runs: bucket by bucket, under leases, whatever becomes of the others.
#[tokio::test(flavor = "multi_thread")]
async fn services_side_by_side_go_through_all_buckets() {
    let place = Place::new().await;
    let keys: Vec<String> = (0..5).map(|number| format!("{number}.tar")).collect();
    for key in &keys {
        place.upload(key).await;
    }
    let start = || {
        let program: Program<Scanner, ()> =
            Program { name: "r", about: "", kind: Scanner::every("R_INTERVAL"), stage: worker::Stage::Unfinished };
        let reader = place.reader();
        place.world.run(&program, &[("R_INTERVAL", "1s")], |context| context.run(reader))
    };
    let running = [start(), start()];
    // The other institutions' buckets are not there: each is an error of its own.
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    for key in &keys {
        while !place.of(key).await.first().is_some_and(|item| item.queued_at.is_set()) {
            assert!(std::time::Instant::now() < deadline, "{key}: {:?}", place.of(key).await);
            tokio::task::yield_now().await;
        }
    }
    for one in running {
        one.stop().await;
    }
    for key in &keys {
        assert_eq!(place.of(key).await.len(), 1, "{key}");
    }
    assert_eq!(place.world.load(Topic::IngestPrefetch).await, (0, 0, 5));
}
