//! What a server must stand: torn and slow requests, lies about lengths, hostile keys, a full disk, wrong options.

use std::path::Path;
use std::time::Duration;

use stack::s3::{Options, S3};
use tokio::io::AsyncWriteExt as _;

use super::raw::{Request, connect, exchange, read, try_exchange};
use super::target::{Target, failure};
use crate::support::{skip, wait_for};

/// The data files of a server: none when nothing was stored.
fn stored(folder: &Path) -> usize {
    let Ok(groups) = std::fs::read_dir(folder.join("data")) else { return 0 };
    groups.map(|group| std::fs::read_dir(group.unwrap().path()).unwrap().count()).sum()
}

async fn kept(patience: Duration) -> (tempfile::TempDir, Target) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { folder: Some(folder.path().to_owned()), patience, ..Options::default() };
    let target = Target::start(options).await;
    (folder, target)
}

async fn assert_nothing_stored(folder: &Path, target: &Target) {
    assert!(target.keys().await.is_empty());
    wait_for("the torn files to go", || async {
        match stored(folder) {
            0 => Ok(()),
            files => Err(format!("{files} files")),
        }
    })
    .await;
}

/// The head of a PUT whose body is not signed, without the empty line at its end.
fn unsigned_put(target: &Target) -> String {
    let host = target.endpoint.trim_start_matches("http://");
    Request::new("PUT", "/bucket/key").payload("UNSIGNED-PAYLOAD").sign(host).head
}

#[tokio::test]
async fn a_request_that_is_cut_at_any_byte_leaves_nothing() {
    let (folder, target) = kept(Duration::from_secs(30)).await;
    let host = target.endpoint.trim_start_matches("http://");
    let put = Request::new("PUT", "/bucket/key").body("hello world").header("x-amz-meta-bag", "b");
    let mut bytes = format!("{}content-length: 11\r\n\r\n", put.sign(host).head).into_bytes();
    bytes.extend_from_slice(b"hello world");
    for cut in 0..bytes.len() {
        let mut stream = connect(&target.endpoint).await;
        stream.write_all(&bytes[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        if let Some(answer) = read(&mut stream).await {
            assert!(answer.status >= 400, "cut at {cut}: {answer:?}");
        }
    }
    assert_nothing_stored(folder.path(), &target).await;
    assert_eq!(exchange(&target.endpoint, &bytes).await.status, 200);
}

#[tokio::test]
async fn a_large_upload_that_is_cut_leaves_nothing() {
    let (folder, target) = kept(Duration::from_secs(30)).await;
    let head = unsigned_put(&target);
    for sent in [1, 300_000, 2 << 20] {
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", 4 << 20).into_bytes();
        bytes.resize(bytes.len() + sent, 1);
        let mut stream = connect(&target.endpoint).await;
        stream.write_all(&bytes).await.unwrap();
        drop(stream);
    }
    assert_nothing_stored(folder.path(), &target).await;
}

#[tokio::test]
async fn wrong_lengths_are_refused() {
    let (folder, target) = kept(Duration::from_secs(30)).await;
    let head = unsigned_put(&target);
    for length in ["-1", "five", "99999999999999999999", "5\r\ncontent-length: 6"] {
        let bytes = format!("{head}content-length: {length}\r\n\r\nhello");
        let answer = try_exchange(&target.endpoint, bytes.as_bytes()).await;
        assert!(answer.is_none_or(|answer| answer.status == 400), "{length}");
    }
    let none =
        exchange(&target.endpoint, format!("{head}transfer-encoding: chunked\r\n\r\n0\r\n\r\n").as_bytes()).await;
    assert_eq!((none.status, none.code()), (411, "MissingContentLength".into()));
    for decoded in ["4", "6"] {
        let request = Request::new("PUT", "/bucket/key").body("5\r\nhello\r\n0\r\n\r\n");
        let request = request.payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        let request = request.header("x-amz-trailer", "x-amz-meta-none");
        let answer = request.header("x-amz-decoded-content-length", decoded).send(&target.endpoint).await;
        assert_eq!((answer.status, answer.code()), (400, "IncompleteBody".into()), "{decoded}");
    }
    assert_nothing_stored(folder.path(), &target).await;
}

#[tokio::test]
async fn more_than_five_gigabytes_are_refused_before_they_are_sent() {
    let target = Target::ours().await;
    let host = target.endpoint.trim_start_matches("http://");
    let put = Request::new("PUT", "/bucket/key").payload("UNSIGNED-PAYLOAD").header("expect", "100-continue");
    let bytes = format!("{}content-length: {}\r\n\r\n", put.sign(host).head, (5_u64 << 30) + 1);
    let answer = exchange(&target.endpoint, bytes.as_bytes()).await;
    assert_eq!((answer.status, answer.code()), (400, "EntityTooLarge".into()));
}

#[tokio::test]
async fn a_slow_sender_is_let_go() {
    let (folder, target) = kept(Duration::from_millis(300)).await;
    let head = unsigned_put(&target);
    let answer = exchange(&target.endpoint, format!("{head}content-length: 1000000\r\n\r\nhel").as_bytes()).await;
    assert_eq!((answer.status, answer.code()), (400, "RequestTimeout".into()));
    let half = try_exchange(&target.endpoint, b"PUT /bucket/key HTTP/1.1\r\nhost: x\r\n").await;
    assert!(half.is_none_or(|answer| answer.status == 408));
    assert_nothing_stored(folder.path(), &target).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let (_folder, target) = kept(Duration::from_millis(300)).await;
    target.put("key", vec![1; 32 << 20]).await;
    let host = target.endpoint.trim_start_matches("http://");
    let head = Request::new("GET", "/bucket/key").sign(host).head;
    let mut stream = connect(&target.endpoint).await;
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    // The client's kernel takes some; then nothing moves, until the server has had enough and a write finds it gone.
    let mut written = tokio::time::interval(Duration::from_millis(20));
    let gone = async {
        while stream.write_all(b"x").await.is_ok() {
            written.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the server must close the connection");
}

#[tokio::test]
async fn huge_heads_are_refused() {
    let target = Target::ours().await;
    let long = Request::new("GET", "/bucket/key").header("x-amz-meta-long", "m".repeat(20_000));
    let answer = long.send(&target.endpoint).await;
    assert_eq!((answer.status, answer.code()), (400, "RequestHeaderSectionTooLarge".into()));
    for request in [
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "k".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "v".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "many: x\r\n".repeat(1000)),
        "nonsense\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
    ] {
        let answer = try_exchange(&target.endpoint, request.as_bytes()).await;
        assert!(answer.is_none_or(|answer| (400..500).contains(&answer.status)));
    }
    assert!(target.keys().await.is_empty());
}

#[tokio::test]
async fn a_chunk_that_calls_itself_four_gigabytes_is_refused() {
    let target = Target::ours().await;
    let request = Request::new("PUT", "/bucket/key").body([&b"ffffffff\r\n"[..], &vec![1; 20 << 20]].concat());
    let request = request.payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER").header("x-amz-trailer", "x-amz-meta-none");
    let answer = request.header("x-amz-decoded-content-length", "4294967295").send(&target.endpoint).await;
    assert_eq!((answer.status, answer.code()), (400, "InvalidRequest".into()));
    assert!(target.keys().await.is_empty());
}

#[tokio::test]
async fn wrong_xml_is_refused() {
    let target = Target::ours().await;
    let delete = |body: Vec<u8>| Request::new("POST", "/bucket").query("delete=").body(body);
    let many = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(1001));
    let bomb =
        "<!DOCTYPE x [<!ENTITY a \"aa\"><!ENTITY b \"&a;&a;\">]><Delete><Object><Key>&b;</Key></Object></Delete>";
    for body in ["<Delete><Object><Key>k</Key>", "nonsense", "", "<Delete/>", &many, bomb] {
        let answer = delete(body.into()).send(&target.endpoint).await;
        assert_eq!(answer.status, 400, "{body:.60}: {}", String::from_utf8_lossy(&answer.body));
    }
    let long = delete(vec![b' '; 9 << 20]).send(&target.endpoint).await;
    assert_eq!((long.status, long.code()), (400, "MaxMessageLengthExceeded".into()));
}

#[tokio::test]
async fn hostile_keys_stay_in_the_folder() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("data-folder");
    let target = Target::start(Options { folder: Some(folder.clone()), ..Options::default() }).await;
    let keys = ["../../out", "..//../out", "/etc/passwd", "a%00b", "..%5Cout", "%C2%85", "con"];
    for key in keys {
        let path = format!("/bucket/{key}");
        assert_eq!(Request::new("PUT", &path).body("x").send(&target.endpoint).await.status, 200, "{key}");
        assert_eq!(Request::new("GET", &path).send(&target.endpoint).await.body, b"x", "{key}");
    }
    let beside: Vec<_> = std::fs::read_dir(around.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["data-folder"]);
    assert_eq!(stored(&folder), keys.len());
    let not_utf8 = Request::new("GET", "/bucket/%FF").send(&target.endpoint).await;
    assert_eq!((not_utf8.status, not_utf8.code()), (400, "InvalidURI".into()));
    target.into_server().stop().await;
}

#[tokio::test]
async fn what_is_not_implemented_says_so() {
    let target = Target::ours().await;
    let put = target.client.put_object().bucket("bucket").key("key").body(b"x".to_vec().into());
    assert_eq!(failure(put.tagging("a=b").send().await), ("NotImplemented".into(), 501));
    let policy = target.client.get_bucket_policy().bucket("bucket").send().await;
    assert_eq!(failure(policy), ("NotImplemented".into(), 501));
    let version = target.client.get_object().bucket("bucket").key("key").version_id("v1").send().await;
    assert_eq!(failure(version), ("InvalidArgument".into(), 400));
    let old = "GET / HTTP/1.1\r\nhost: x\r\nauthorization: AWS minioadmin:c2ln\r\nconnection: close\r\n\r\n";
    let refused = exchange(&target.endpoint, old.as_bytes()).await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidRequest".into()));
}

#[tokio::test]
async fn wrong_options_are_refused() {
    let taken = S3::start(Options::default()).await.unwrap();
    let refusal = async |options| format!("{:#}", S3::start(options).await.unwrap_err());
    let same = refusal(Options { address: taken.address(), ..Options::default() }).await;
    assert!(same.contains(&format!("cannot listen on {}", taken.address())), "{same}");
    let open = refusal(Options { address: ([0, 0, 0, 0], 0).into(), ..Options::default() }).await;
    assert!(open.contains("listens on loopback only"), "{open}");
    let name = refusal(Options { buckets: vec!["No".into()], ..Options::default() }).await;
    assert!(name.contains("`No` is no name for a bucket"), "{name}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = refusal(Options { folder: Some(file.path().to_owned()), ..Options::default() }).await;
    assert!(folder.contains("cannot create the folder"), "{folder}");
}

/// A file system of two megabytes.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_keeps_nothing_half() {
    let Some(small) = Small::mount() else {
        skip("s3::bad_input::a_full_disk_is_told_and_keeps_nothing_half", "tmpfs cannot be mounted by this user");
        return;
    };
    let folder = small.0.path().join("folder");
    let target = Target::start(Options { folder: Some(folder.clone()), ..Options::default() }).await;
    target.put("kept", "hello").await;
    let put = |key: &str, size| target.client.put_object().bucket("bucket").key(key).body(vec![1; size].into()).send();
    for _ in 0..3 {
        assert_eq!(failure(put("large", 4 << 20).await), ("InsufficientStorage".into(), 507));
        assert_eq!(failure(put("kept", 4 << 20).await), ("InsufficientStorage".into(), 507));
    }
    assert_eq!(target.get("kept").await, b"hello");
    put("fits", 1 << 20).await.unwrap();
    // Until there is no room for anything.
    let mut count = 2;
    let refused = loop {
        match put(&format!("filler-{count}"), 4096).await {
            Ok(_) => count += 1,
            failed => break failure(failed),
        }
    };
    assert_eq!(refused, ("InsufficientStorage".into(), 507));
    assert_eq!((target.keys().await.len(), stored(&folder)), (count, count));
    target.client.delete_object().bucket("bucket").key("fits").send().await.unwrap();
    target.put("again", "room").await;
    target.into_server().stop().await;
    let server = S3::start(Options { folder: Some(folder), ..Options::default() }).await.unwrap();
    let mut target = Target::at(&server.endpoint(), "after").await;
    "bucket".clone_into(&mut target.bucket);
    assert_eq!(target.keys().await.len(), count);
    assert_eq!(target.get("again").await, b"room");
    server.stop().await;
}
