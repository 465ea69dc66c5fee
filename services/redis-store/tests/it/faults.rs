//! Connections that are cut after each byte, servers that answer wrongly, late or never, and names that lead nowhere.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use model::{IngestFile, IngestObject, Topic};
use redis::AsyncCommands as _;
use redis_store::{ClaimTaken, Error, Options, Store};
use stack::proxy::{Fate, Proxy, Way};
use stack::scripted::{Scripted, Then};
use stack::testing::PATIENCE;
use tokio::time::{Instant, timeout};

use crate::support::{Kind, Server, on_every_server, store_at};

on_every_server! {
    documents_survive_a_cut_at_every_byte;
    claims_survive_a_cut_at_every_byte;
}

/// Every cut, each on an item of its own.
fn cuts(whole: &Proxy) -> impl Iterator<Item = (i64, (Way, u64))> + use<> {
    let counts = [(Way::Up, whole.count(Way::Up)), (Way::Down, whole.count(Way::Down))];
    let cuts = counts.into_iter().flat_map(|(way, count)| (0..=count).map(move |cut| (way, cut)));
    (1..).zip(cuts)
}

async fn documents_survive_a_cut_at_every_byte(server: Server) {
    let whole = Proxy::to(server.address()).await;
    save_and_read(&store_at(&whole.address().to_string()), 0).await;
    let cuts = cuts(&whole);
    let address = &server.address();
    let each = stream::iter(cuts).for_each_concurrent(50, |(item, cut)| async move {
        let proxy = Proxy::with_fates(address, [Fate::Cut(cut.0, cut.1)]).await;
        save_and_read(&store_at(&proxy.address().to_string()), item).await;
    });
    each.await;
}

async fn save_and_read(store: &Store, item: i64) {
    let object = IngestObject::new("receiving", "bag.tar", "etag", "example.edu", 7, 1);
    let files = [IngestFile::new("example.edu/bag", "a"), IngestFile::new("example.edu/bag", "b")];
    // A connection that breaks is replaced unnoticed: all of this can be repeated.
    store.save_object(item, &object).await.unwrap();
    store.save_files(item, &files).await.unwrap();
    let read = store.file(item, "example.edu/bag/b").await.unwrap().unwrap();
    assert_eq!(model::to_json(&read).unwrap(), model::to_json(&files[1]).unwrap());
    assert_eq!(store.files(item, 10).next().await.unwrap().unwrap().files.len(), 2);
    store.delete_item(item).await.unwrap();
    assert!(store.object(item, "example.edu/bag").await.unwrap().is_none());
}

async fn claims_survive_a_cut_at_every_byte(server: Server) {
    let whole = Proxy::to(server.address()).await;
    take_and_release(&store_at(&whole.address().to_string()), 0).await;
    let cuts = cuts(&whole);
    let address = &server.address();
    let each = stream::iter(cuts).for_each_concurrent(50, |(item, cut)| async move {
        let proxy = Proxy::with_fates(address, [Fate::Cut(cut.0, cut.1)]).await;
        take_and_release(&store_at(&proxy.address().to_string()), item).await;
    });
    each.await;
    assert!(server.raw(0).await.keys::<_, Vec<String>>("*").await.unwrap().is_empty());
}

async fn take_and_release(store: &Store, item: i64) {
    let taken = store.take_claim(item, Topic::IngestRecord, "host", Duration::from_mins(2)).await.unwrap();
    let ClaimTaken::Ours(held) = taken else { panic!("{item}: {taken:?}: an answer that was lost is not noticed") };
    assert!(store.claimant(item, Topic::IngestRecord).await.unwrap().is_some());
    held.release().await.unwrap();
    assert_eq!(store.claimant(item, Topic::IngestRecord).await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_waited_for_for_ever() {
    let fake = Scripted::start(vec![(vec![], Then::Waits)]).await;
    let store = store_at(&fake.address().to_string());
    let (document, lease) = tokio::join!(
        timeout(PATIENCE, store.object(1, "example.edu/bag")),
        timeout(PATIENCE, store.take_claim(1, Topic::IngestRecord, "host", PATIENCE)),
    );
    assert!(document.unwrap().unwrap_err().is_transient());
    assert!(lease.unwrap().unwrap_err().is_transient());
    assert!(timeout(PATIENCE, store.ping()).await.unwrap().unwrap_err().is_transient());
}

#[tokio::test]
async fn what_is_not_redis_is_an_error_and_left() {
    for (bad, transient) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", true),
        ("*1\r\n", true),
        ("", true),
        (":7\r\n", true),
        ("*0\r\n", true),
        ("*2\r\n$-1\r\n$-1\r\n", true),
        ("-ERR unknown command 'HGET'\r\n", false),
        ("-NOAUTH Authentication required.\r\n", false),
        ("-LOADING Redis is loading the dataset in memory\r\n", true),
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", true),
        ("-READONLY You can't write against a read only replica.\r\n", true),
        ("-MISCONF Redis is configured to save RDB snapshots\r\n", true),
    ] {
        let fake = Scripted::start(vec![(vec![bad.as_bytes().to_vec()], Then::Closes)]).await;
        let store = store_at(&fake.address().to_string());
        let error = timeout(PATIENCE, store.file(1, "x/y/z")).await.unwrap().unwrap_err();
        assert_eq!(error.is_transient(), transient, "{bad}: {error:?}");
        assert!(error.to_string().contains("`file:x/y/z` of `1`"), "{error}");
        let visits = fake.visits();
        let _ = timeout(PATIENCE, store.file(1, "x/y/z")).await.unwrap();
        timeout(PATIENCE, fake.visited(visits + 1)).await.unwrap();
    }
}

/// A server that had no place for us when we first connected may have one a moment later, and is asked again for as long.
#[tokio::test]
async fn a_server_with_too_many_clients_is_asked_again() {
    let pong = b"+PONG\r\n".to_vec();
    let full = b"-ERR max number of clients reached\r\n".to_vec();
    let never = Scripted::start(vec![(vec![full.clone()], Then::Closes)]).await;
    let error = store_at(&never.address().to_string()).ping().await.unwrap_err();
    assert!(error.is_transient() && never.visits() > 1, "{error:?}");
    let fake = Scripted::start(vec![(vec![full], Then::Closes), (vec![pong; 1000], Then::Waits)]).await;
    store_at(&fake.address().to_string()).ping().await.unwrap();
    assert_eq!(fake.visits(), 4);
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_an_error() {
    let store = store_at("no-such-host.invalid:6379");
    let begun = Instant::now();
    let error = timeout(PATIENCE, store.object(1, "x")).await.unwrap().unwrap_err();
    assert!(error.is_transient() && begun.elapsed() < PATIENCE, "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_never_shown() {
    let options = stack::redis::Options { password: Some("richtig".to_owned()), ..Default::default() };
    let server = stack::redis::Redis::start(options).unwrap();
    let store = |password: Option<&str>| {
        let address = server.address().to_string();
        let password = password.map(str::to_owned);
        Store::new(&Options { address, password, database: 0, lease_database: 1 }).unwrap()
    };
    for wrong in [None, Some("falsch-geheim")] {
        let error = store(wrong).ping().await.unwrap_err();
        assert_eq!(matches!(error, Error::Refused { .. }), wrong.is_none(), "{error:?}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.to_lowercase().contains("authentication"), "{cause}");
        assert!(!format!("{error:?}").contains("geheim"));
    }
    store(Some("richtig")).ping().await.unwrap();
}

/// The real server only: stopped for a while, as by a slow command of somebody else.
#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let Some(server) = Server::start(Kind::Real, "a_slow_server_is_waited_for") else { return };
    let store = server.store();
    store.ping().await.unwrap();
    let _: () =
        redis::cmd("CLIENT").arg("PAUSE").arg(1500).arg("ALL").query_async(&mut server.raw(0).await).await.unwrap();
    let begun = Instant::now();
    store.save_object(1, &IngestObject::new("b", "bag.tar", "", "example.edu", 7, 1)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

/// A failover leaves the connection to the old primary open; its name leads to the new one.
#[tokio::test]
async fn a_server_that_is_not_the_one_to_talk_to_is_left() {
    for answer in [
        "-READONLY You can't write against a read only replica.\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n",
    ] {
        let old = (vec![answer.as_bytes().to_vec(); 100], Then::Waits);
        let new = (vec![b":1\r\n".to_vec(); 100], Then::Waits);
        let fake = Scripted::start(vec![old, new]).await;
        let store = store_at(&fake.address().to_string());
        store.save_file(1, &IngestFile::new("example.edu/bag", "a")).await.unwrap();
        assert_eq!((fake.visits(), store.failing_for()), (2, None), "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_only_refuses_is_kept() {
    for (answer, transient) in [
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", true),
        ("-MISCONF Redis is configured to save RDB snapshots\r\n", true),
        ("-TRYAGAIN Multiple keys request during rehashing of slot\r\n", true),
        ("-NOREPLICAS Not enough good replicas to write.\r\n", true),
        ("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", false),
        ("-NOPERM this user has no permissions to run the 'hset' command\r\n", false),
        ("-ERR syntax error\r\n", false),
    ] {
        let fake = Scripted::start(vec![(vec![answer.as_bytes().to_vec(); 100], Then::Waits)]).await;
        let store = store_at(&fake.address().to_string());
        for _ in 0..2 {
            let error = store.save_file(1, &IngestFile::new("example.edu/bag", "a")).await.unwrap_err();
            assert_eq!(error.is_transient(), transient, "{answer}: {error:?}");
        }
        assert_eq!((fake.visits(), store.failing_for().is_some()), (1, transient), "{answer}");
    }
}

/// The answers to WATCH and reading are good, and then it is a replica.
#[tokio::test]
async fn a_transaction_on_a_server_that_became_a_replica_may_be_tried_again() {
    let good = b"+OK\r\n+OK\r\n$-1\r\n*2\r\n$1\r\n1\r\n$1\r\n0\r\n".to_vec();
    for refusal in [
        "+OK\r\n-READONLY You can't write against a read only replica.\r\n-EXECABORT Transaction discarded because of previous errors.\r\n",
        "+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n",
    ] {
        let old = (vec![good.clone(), refusal.as_bytes().to_vec()], Then::Waits);
        let new = (vec![good.clone(), b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n".to_vec()], Then::Waits);
        let fake = Scripted::start(vec![old, new]).await;
        let store = store_at(&fake.address().to_string());
        let take = async || store.take_claim(1, Topic::IngestRecord, "host", Duration::from_mins(2)).await;
        let error = timeout(PATIENCE, take()).await.unwrap().unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert!(store.failing_for().is_some());
        let ClaimTaken::Ours(held) = timeout(PATIENCE, take()).await.unwrap().unwrap() else { panic!("it is taken") };
        held.leave();
        assert_eq!((fake.visits(), store.failing_for()), (2, None));
    }
}

/// The real server only, which becomes a replica of nobody and a primary again. That it can be read is no sign of health.
#[tokio::test]
async fn a_replica_is_told_from_a_primary() {
    let Some(server) = Server::start(Kind::Real, "a_replica_is_told_from_a_primary") else { return };
    let (store, mut raw) = (server.store(), server.raw(0).await);
    let file = IngestFile::new("example.edu/bag", "a");
    store.save_file(1, &file).await.unwrap();
    let _: () = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).query_async(&mut raw).await.unwrap();
    for _ in 0..2 {
        assert!(store.save_file(1, &file).await.unwrap_err().is_transient());
        let claim = store.take_claim(2, Topic::IngestRecord, "host", PATIENCE).await;
        assert!(claim.is_err_and(|error| error.is_transient()));
        assert!(store.file(1, &file.identifier()).await.unwrap().is_some());
        store.ping().await.unwrap();
    }
    assert!(store.failing_for().is_some_and(|length| !length.is_zero()), "{:?}", store.failing_for());
    let _: () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut raw).await.unwrap();
    store.save_file(1, &file).await.unwrap();
    take_and_release(&store, 2).await;
    assert_eq!(store.failing_for(), None);
}

/// What is logged of a claim is what it is on, and neither the store nor the token.
#[tokio::test]
async fn a_claim_that_cannot_be_renewed_is_named_with_all_causes() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    // For all threads, since a scoped one races with the other tests for who first comes past a line that logs.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut server = Server::start(Kind::Embedded, "").unwrap();
    let store = server.store();
    let taken = store.take_claim(4711, Topic::IngestRecord, "host", Duration::from_secs(6)).await.unwrap();
    let ClaimTaken::Ours(held) = taken else { panic!("{taken:?}") };
    let shown = format!("{held:?}");
    assert!(shown.contains("the claim on `4711` for ingest08_record") && !shown.contains("Store"), "{shown}");
    server.stop();
    timeout(PATIENCE, held.lost()).await.unwrap();
    let logged: String = log.text().lines().filter(|line| line.contains("4711")).collect();
    assert!(logged.contains("the claim on `4711` for ingest08_record could not be renewed"), "{logged}");
    assert!(!logged.contains("Store") && !logged.contains("token"), "{logged}");
    let causes = "could not renew the claim on `4711` for ingest08_record: Connection refused";
    assert!(logged.contains(causes), "{logged}");
}

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
