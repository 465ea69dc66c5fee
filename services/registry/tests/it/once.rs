//! What must be there once is there once, whatever becomes of the answers: by the Registry's own faults and through a proxy
//! that loses what it says.

use model::{EventType, GenericFile, IntellectualObject, PremisEvent, State};
use registry::{Client, Query, Settings, Standing};
use stack::proxy::{Fate, Proxy, Way};
use stack::registry::{Fault, Registry};

use super::live::{all, event, file, object, start};
use super::server::{ends, limits};

const BASE: &str = "/admin-api/v3/";

/// A client whose first connections have these fates.
async fn behind(registry: &Registry, fates: &[Fate]) -> (Proxy, Client) {
    let proxy = Proxy::with_fates(registry.address(), fates.iter().copied()).await;
    let settings = Settings {
        url: &format!("http://{}", proxy.address()),
        version: "v3",
        user: "system@aptrust.org",
        key: "password",
    };
    let client = Client::new(settings, limits()).unwrap();
    (proxy, client)
}

async fn events(client: &Client, identifier: &str) -> usize {
    all::<PremisEvent>(client, Query::new().filter("identifier", identifier)).await.len()
}

fn ids(standing: &[Standing<GenericFile>]) -> Vec<i64> {
    standing.iter().map(|one| one.record().id).collect()
}

#[tokio::test]
async fn a_lost_answer_is_found_out() {
    let (registry, direct) = start();
    let made = event(EventType::Ingestion, 1);
    let (proxy, client) = behind(&registry, &[Fate::LoseAnswer]).await;
    let standing = ends(client.create_event_once(&made)).await.unwrap();
    assert!(standing.id > 0 && standing.identifier == made.identifier);
    assert_eq!((proxy.connections(), events(&direct, &made.identifier).await), (2, 1));

    let (_proxy, client) = behind(&registry, &[Fate::LoseAnswer]).await;
    let Standing::Ours(known) = ends(client.create_object_once(&object())).await.unwrap() else { panic!("not ours") };
    assert_eq!(known.id, ends(direct.object("test.edu/new")).await.unwrap().id);

    let batch: Vec<GenericFile> = (10..110).map(file).collect();
    let (_proxy, client) = behind(&registry, &[Fate::LoseAnswer]).await;
    let standing = ends(client.create_files_once(2, &batch)).await.unwrap();
    for (sent, one) in batch.iter().zip(&standing) {
        let Standing::Ours(known) = one else { panic!("not ours: {one:?}") };
        assert_eq!((&known.identifier, &known.uuid), (&sent.identifier, &sent.uuid));
        // Nothing was added a second time.
        assert_eq!((known.checksums.len(), known.premis_events.len(), known.storage_records.len()), (2, 1, 1));
    }
}

/// A request that was cut on its way has done nothing, and is sent again.
#[tokio::test]
async fn a_lost_request_is_sent_again() {
    let (registry, direct) = start();
    let made = event(EventType::Ingestion, 2);
    let cut = [Fate::Cut(Way::Up, 100)];
    let (_proxy, client) = behind(&registry, &cut).await;
    ends(client.create_event_once(&made)).await.unwrap();
    assert_eq!(events(&direct, &made.identifier).await, 1);
    let (_proxy, client) = behind(&registry, &cut).await;
    assert!(matches!(ends(client.create_object_once(&object())).await.unwrap(), Standing::Ours(_)));
    let batch: Vec<GenericFile> = (10..13).map(file).collect();
    let (_proxy, client) = behind(&registry, &cut).await;
    let standing = ends(client.create_files_once(2, &batch)).await.unwrap();
    assert!(standing.len() == 3 && standing.iter().all(|one| matches!(one, Standing::Ours(_))), "{standing:?}");
}

/// As after a worker that died: everything is there before the first request of this one.
#[tokio::test]
async fn what_an_earlier_call_made_is_ours() {
    let (_registry, client) = start();
    let made = event(EventType::Ingestion, 3);
    let first = ends(client.create_event_once(&made)).await.unwrap();
    assert_eq!(ends(client.create_event_once(&made)).await.unwrap().id, first.id);
    let first = ends(client.create_object_once(&object())).await.unwrap();
    assert_eq!(ends(client.create_object_once(&object())).await.unwrap().record().id, first.record().id);
    let batch: Vec<GenericFile> = (10..20).map(file).collect();
    let first = ends(client.create_files_once(2, &batch)).await.unwrap();
    // The batch of another try is another one.
    let more: Vec<GenericFile> = (5..25).map(file).collect();
    let standing = ends(client.create_files_once(2, &more)).await.unwrap();
    assert!(standing.iter().all(|one| matches!(one, Standing::Ours(_))));
    assert_eq!(ids(&standing[5..15]), ids(&first));
    for (sent, id) in more.iter().zip(ids(&standing)) {
        let read = ends(client.file(&sent.identifier)).await.unwrap();
        assert_eq!((read.id, read.checksums.len(), read.premis_events.len()), (id, 2, 1));
    }
    // 07 C.20: a worker that made new UUIDs for its files, but has the same events.
    let renamed = GenericFile { uuid: super::live::uuid(999), ..file(10) };
    assert!(matches!(&ends(client.create_files_once(2, &[renamed])).await.unwrap()[..], [Standing::Ours(_)]));
}

#[tokio::test]
async fn what_somebody_else_made_is_theirs_and_stays() {
    let (_registry, client) = start();
    ends(client.create_object_once(&object())).await.unwrap();
    for other in [
        IntellectualObject { etag: "another bag".into(), ..object() },
        IntellectualObject { state: State::Deleted, ..object() },
    ] {
        let Standing::Theirs(known) = ends(client.create_object_once(&other)).await.unwrap() else {
            panic!("{other:?} is not what stands");
        };
        assert_eq!((known.etag.as_str(), &known.state), ("abc", &State::Active));
    }
    let theirs = ends(client.create_files(2, &[file(10)])).await.unwrap().remove(0);
    let ours = GenericFile { identifier: theirs.identifier.clone(), size: 5, ..file(11) };
    let standing = ends(client.create_files_once(2, &[file(12), ours, file(13)])).await.unwrap();
    let kinds: Vec<bool> = standing.iter().map(|one| matches!(one, Standing::Ours(_))).collect();
    assert_eq!((kinds.as_slice(), ids(&standing)[1]), (&[true, false, true][..], theirs.id));
    assert_eq!(ends(client.file(theirs.id)).await.unwrap().size, theirs.size);
}

#[tokio::test]
async fn what_cannot_be_created_is_an_error_at_once() {
    let (registry, client) = start();
    let error = ends(client.create_object_once(&IntellectualObject { title: String::new(), ..object() })).await;
    assert_eq!(error.unwrap_err().status().unwrap().as_u16(), 400);
    let error = ends(client.create_files_once(4, &[file(1)])).await.unwrap_err();
    assert!(error.to_string().contains("must match request institution ID"), "{error}");
    assert!(ends(client.create_files_once(2, &[])).await.is_err());
    // The Registry's own failure is not repeated at once: what it did nobody knows, and it is looked up.
    registry.faults().add_for("POST", &format!("{BASE}events/create"), Fault::Status(500), 1);
    let made = event(EventType::Ingestion, 4);
    assert!(ends(client.create_event_once(&made)).await.unwrap_err().is_transient());
    assert_eq!(events(&client, &made.identifier).await, 0);
}

/// Where it cannot be looked up, the first failure is the one that is told, and nothing is sent again.
#[tokio::test]
async fn what_stands_may_stay_unknown() {
    let (registry, client) = start();
    let made = event(EventType::Ingestion, 5);
    registry.faults().add_for("POST", &format!("{BASE}events/create"), Fault::CutAfter, 1);
    registry.faults().add_for("GET", &format!("{BASE}events/show"), Fault::Status(503), 3);
    let error = ends(client.create_event_once(&made)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().starts_with("POST "), "{error}");
    assert_eq!(events(&client, &made.identifier).await, 1);
}

#[tokio::test]
async fn a_registry_that_stays_away_is_left_after_some_tries() {
    let (registry, client) = start();
    registry.faults().add_for("POST", &format!("{BASE}files/create_batch"), Fault::Status(503), 3);
    let error = ends(client.create_files_once(2, &[file(1), file(2)])).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 503);
    // Its three tries are used up.
    assert_eq!(ends(client.create_files_once(2, &[file(1), file(2)])).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_client_says_for_how_long_the_registry_is_away() {
    let (registry, direct) = start();
    let (proxy, client) = behind(&registry, &[]).await;
    assert_eq!(client.failing_for(), None);
    proxy.take_away();
    assert!(ends(client.work_item(1)).await.is_err());
    assert!(client.clone().failing_for().is_some_and(|length| !length.is_zero()));
    proxy.bring_back();
    assert!(ends(client.work_item(999_999)).await.unwrap_err().is_not_found());
    assert_eq!((client.failing_for(), direct.failing_for()), (None, None), "no such item is an answer");
}
