//! Documents: keys, fields, JSON, batches, walks, and what is no document.

use std::collections::BTreeSet;

use model::{IngestFile, IngestObject, Topic, WorkResult};
use redis::AsyncCommands as _;
use redis_store::Error;

use crate::support::{Server, on_every_server};

on_every_server! {
    documents_have_the_keys_and_fields_that_go_uses;
    what_is_not_there_is_none_and_a_dead_server_is_an_error;
    unknown_fields_survive_a_visit;
    many_files_are_saved_and_walked_through;
    a_walk_goes_on_while_files_are_saved_and_deleted;
    many_files_are_read_by_their_identifiers;
    what_is_no_document_of_ours_is_named;
    one_corrupt_document_hides_no_other_file;
    an_item_is_deleted_whole;
    the_files_of_an_item_are_deleted_and_nothing_else;
    the_store_comes_back_with_the_server;
}

const OBJECT: &str = "example.edu/bag";

fn file(path: &str) -> IngestFile {
    IngestFile::new(OBJECT, path)
}

async fn documents_have_the_keys_and_fields_that_go_uses(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    store.ping().await.unwrap();
    let object = IngestObject::new("receiving", "bag.b1.of2.tar", "etag", "example.edu", 7, 1);
    store.save_object(4711, &object).await.unwrap();
    let saved = file("data/a b.txt");
    store.save_file(4711, &saved).await.unwrap();
    let result = WorkResult { operation: "ingest01_prefetch".to_owned(), attempt: 2, ..WorkResult::default() };
    store.save_work_result(4711, &result).await.unwrap();
    let keys: BTreeSet<String> = raw.keys("*").await.unwrap();
    assert_eq!(keys, BTreeSet::from(["4711".to_owned()]));
    let fields: BTreeSet<String> = raw.hkeys(4711).await.unwrap();
    let expected = ["object:example.edu/bag", "file:example.edu/bag/data/a b.txt", "workresult:ingest01_prefetch"];
    assert_eq!(fields, expected.map(str::to_owned).into());
    let json: String = raw.hget(4711, "file:example.edu/bag/data/a b.txt").await.unwrap();
    assert_eq!(json, model::to_json(&saved).unwrap());
    let read = store.object(4711, OBJECT).await.unwrap().unwrap();
    assert_eq!(model::to_json(&read).unwrap(), model::to_json(&object).unwrap());
    let read = store.file(4711, "example.edu/bag/data/a b.txt").await.unwrap().unwrap();
    assert_eq!(model::to_json(&read).unwrap(), json);
    assert_eq!(store.work_result(4711, Topic::IngestPrefetch).await.unwrap(), Some(result));
    assert!(store.delete_item(4711).await.unwrap());
    assert_eq!(store.object(4711, OBJECT).await.unwrap(), None);
    assert!(!raw.exists::<_, bool>(4711).await.unwrap());
}

/// 07 A.11: Go takes the one for the other and reports files as stored that are not.
async fn what_is_not_there_is_none_and_a_dead_server_is_an_error(mut server: Server) {
    let store = server.store();
    assert_eq!(store.object(1, OBJECT).await.unwrap(), None);
    assert_eq!(store.file(1, "x/y/z").await.unwrap(), None);
    assert_eq!(store.work_result(1, Topic::DeleteItem).await.unwrap(), None);
    assert!(store.files(1, 100).next().await.unwrap().is_none());
    server.stop();
    let error = store.object(1, OBJECT).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("`object:example.edu/bag` of `1`"), "{error}");
    assert!(store.files(1, 100).next().await.unwrap_err().is_transient());
    assert!(store.delete_item(1).await.unwrap_err().is_transient());
    assert!(store.ping().await.is_err());
}

/// 07 C.17.
async fn unknown_fields_survive_a_visit(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    store.save_file(1, &file("a")).await.unwrap();
    let json: String = raw.hget(1, "file:example.edu/bag/a").await.unwrap();
    let newer = format!("{},\"of tomorrow\":{{\"b\":[1,2]}}}}", json.strip_suffix('}').unwrap());
    let _: () = raw.hset(1, "file:example.edu/bag/a", &newer).await.unwrap();
    let read = store.file(1, "example.edu/bag/a").await.unwrap().unwrap();
    store.save_file(1, &read).await.unwrap();
    assert_eq!(raw.hget::<_, _, String>(1, "file:example.edu/bag/a").await.unwrap(), newer);
}

async fn many_files_are_saved_and_walked_through(server: Server) {
    let store = server.store();
    let files: Vec<IngestFile> = (0..20_000).map(|number| file(&format!("data/{number}.txt"))).collect();
    store.save_files(1, &files).await.unwrap();
    store.save_files(1, []).await.unwrap();
    // Other fields are none of its business.
    store.save_object(1, &IngestObject::new("b", "bag.tar", "", "example.edu", 7, 1)).await.unwrap();
    let mut scan = store.files(1, 200);
    let mut seen = BTreeSet::new();
    let mut largest = 0;
    while let Some(batch) = scan.next().await.unwrap() {
        largest = largest.max(batch.files.len());
        seen.extend(batch.files.into_iter().map(|file| file.identifier()));
    }
    assert!(scan.next().await.unwrap().is_none());
    assert_eq!(seen.len(), 20_000);
    assert!(largest < 1000, "{largest} in a batch: memory would grow with the bag");
}

async fn a_walk_goes_on_while_files_are_saved_and_deleted(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    let paths: Vec<String> = (0..2_000).map(|number| format!("data/{number}")).collect();
    store.save_files(1, &paths.iter().map(|path| file(path)).collect::<Vec<_>>()).await.unwrap();
    let (staying, going) = paths.split_at(1_000);
    let mut scan = store.files(1, 50);
    let mut seen = BTreeSet::new();
    let mut step = 0;
    while let Some(batch) = scan.next().await.unwrap() {
        store.save_files(1, &batch.files).await.unwrap();
        seen.extend(batch.files.into_iter().map(|file| file.path_in_bag));
        for path in going.iter().skip(step * 20).take(20) {
            let _: () = raw.hdel(1, format!("file:{OBJECT}/{path}")).await.unwrap();
        }
        store.save_file(1, &file(&format!("new/{step}"))).await.unwrap();
        step += 1;
        assert!(step < 10_000, "the walk does not end");
    }
    assert!(staying.iter().all(|path| seen.contains(path)));
}

/// The only file of an item, which is none.
async fn corrupt(server: &Server, item: i64) -> Error {
    let mut page = server.store().files(item, 10).next().await.unwrap().unwrap();
    assert!(page.files.is_empty() && page.corrupt.len() == 1, "{page:?}");
    page.corrupt.remove(0)
}

async fn one_corrupt_document_hides_no_other_file(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    store.save_files(1, &(0..300).map(|number| file(&format!("data/{number}"))).collect::<Vec<_>>()).await.unwrap();
    for number in [7, 250] {
        let _: () = raw.hset(1, format!("file:example.edu/bag/data/{number}"), "{").await.unwrap();
    }
    let (mut seen, mut corrupt) = (BTreeSet::new(), BTreeSet::new());
    let mut scan = store.files(1, 50);
    while let Some(page) = scan.next().await.unwrap() {
        seen.extend(page.files.into_iter().map(|file| file.path_in_bag));
        corrupt.extend(page.corrupt.iter().map(ToString::to_string));
    }
    assert_eq!((seen.len(), corrupt.len()), (298, 2), "{corrupt:?}");
    assert!(corrupt.iter().all(|error| error.contains("/data/7`") || error.contains("/data/250`")), "{corrupt:?}");
}

async fn many_files_are_read_by_their_identifiers(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    let files: Vec<IngestFile> = (0..1_200).map(|number| file(&format!("data/{number}"))).collect();
    store.save_files(1, &files).await.unwrap();
    // What a newer worker wrote stays, in bulk as one by one (07 C.17).
    let json = model::to_json(&files[0]).unwrap();
    let newer = format!("{},\"of tomorrow\":[1]}}", json.strip_suffix('}').unwrap());
    let _: () = raw.hset(1, "file:example.edu/bag/data/0", &newer).await.unwrap();
    let mut identifiers: Vec<String> = files.iter().rev().map(IngestFile::identifier).collect();
    identifiers.insert(600, "example.edu/bag/nowhere".to_owned());
    let mut read = store.files_by_identifier(1, &identifiers).await.unwrap();
    assert_eq!(read.remove(600), None);
    let read: Vec<IngestFile> = read.into_iter().map(Option::unwrap).collect();
    assert!(read.iter().map(IngestFile::identifier).eq(files.iter().rev().map(IngestFile::identifier)));
    store.save_files(1, read.iter().rev()).await.unwrap();
    assert_eq!(raw.hget::<_, _, String>(1, "file:example.edu/bag/data/0").await.unwrap(), newer);
    assert_eq!(store.files_by_identifier(1, &[""; 0]).await.unwrap(), []);
    let _: () = raw.hset(1, "file:example.edu/bag/data/5", "{").await.unwrap();
    let error = store.files_by_identifier(1, &identifiers).await.unwrap_err().to_string();
    assert!(error.contains("/data/5` of `1`"), "{error}");
}

async fn what_is_no_document_of_ours_is_named(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    for (bad, says) in [
        (&b"{\"uuid\":"[..], "EOF"),
        (b"", "EOF"),
        (b"42", "invalid type"),
        (b"[]", "invalid"),
        (b"\xff\xfe", "expected value"),
        (b"{\"size\":\"many\"}", "invalid type"),
        (b"{\"uuid\":\"\xff\"}", "unicode"),
    ] {
        let _: () = raw.hset(1, "file:example.edu/bag/a", bad).await.unwrap();
        for error in [store.file(1, "example.edu/bag/a").await.unwrap_err(), corrupt(&server, 1).await] {
            let text = error.to_string();
            assert!(matches!(error, Error::Corrupt { .. }) && !error.is_transient(), "{error:?}");
            assert!(text.contains("`file:example.edu/bag/a` of `1`") && text.contains(says), "{bad:?}: {text}");
        }
        let _: () = raw.hset(1, "object:example.edu/bag", bad).await.unwrap();
        let error = store.object(1, OBJECT).await.unwrap_err();
        assert!(error.to_string().contains("`object:example.edu/bag` of `1`"), "{error}");
    }
    // 01 §5.2: Go changes names that are not UTF-8 in the JSON, not in the field.
    let _: () = raw.del(1).await.unwrap();
    let json = model::to_json(&file("\u{fffd}")).unwrap();
    let _: () = raw.hset(1, &b"file:example.edu/bag/\xff"[..], json).await.unwrap();
    let error = corrupt(&server, 1).await;
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    let json = model::to_json(&file("b")).unwrap();
    let _: () = raw.hset(2, "file:example.edu/bag/a", json).await.unwrap();
    let error = corrupt(&server, 2).await.to_string();
    assert_eq!(store.file(2, "example.edu/bag/a").await.unwrap_err().to_string(), error);
    assert!(error.contains("it is of the file `example.edu/bag/b`"), "{error}");
    // A key of another type.
    let _: () = raw.set(3, "text").await.unwrap();
    let error = store.object(3, OBJECT).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("`3`"), "{error:?}");
}

async fn the_files_of_an_item_are_deleted_and_nothing_else(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    store.delete_files(5).await.unwrap();
    let files: Vec<IngestFile> = (0..2500).map(|number| file(&format!("data/{number}"))).collect();
    for item in [5, 6] {
        store.save_files(item, &files).await.unwrap();
    }
    let object = IngestObject::new("receiving", "bag.tar", "etag", "example.edu", 7, 1);
    store.save_object(5, &object).await.unwrap();
    // What Go makes of a name that is not UTF-8 goes too.
    let (): () = raw.hset(5, b"file:example.edu/bag/data/caf\xe9", "{}").await.unwrap();
    store.delete_files(5).await.unwrap();
    let fields: BTreeSet<String> = raw.hkeys(5).await.unwrap();
    assert_eq!(fields, BTreeSet::from(["object:example.edu/bag".to_owned()]));
    let others: usize = raw.hlen(6).await.unwrap();
    assert_eq!(others, 2500);
}

async fn an_item_is_deleted_whole(server: Server) {
    let (store, mut raw) = (server.store(), server.raw(0).await);
    let files: Vec<IngestFile> = (0..1_000).map(|number| file(&format!("data/{number}.txt"))).collect();
    store.save_files(1, &files).await.unwrap();
    store.save_file(2, &files[0]).await.unwrap();
    assert!(store.delete_item(1).await.unwrap());
    assert!(!store.delete_item(1).await.unwrap());
    assert_eq!(raw.keys::<_, Vec<String>>("*").await.unwrap(), ["2"]);
}

async fn the_store_comes_back_with_the_server(mut server: Server) {
    let store = server.store();
    store.save_file(1, &file("a")).await.unwrap();
    server.stop();
    let error = store.save_file(1, &file("a")).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    server.start_again();
    store.save_file(1, &file("b")).await.unwrap();
    assert!(store.file(1, "example.edu/bag/b").await.unwrap().is_some());
    // A connection that only broke is not even noticed.
    server.cut_connections().await;
    assert!(store.file(1, "example.edu/bag/b").await.unwrap().is_some());
}
