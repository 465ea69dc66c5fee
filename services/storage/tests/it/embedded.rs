//! What only the embedded server can play: the archive's hours, and faults that strike many requests at once.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use model::Provider::Local;
use stack::s3::{Fault, FaultKind, Operation, Options, S3, StorageClass};
use storage::{Attributes, Bucket, Kind, Length, Limits, Put, Restore, Restored, Storage, Tier};

use crate::support::{KEY, SECRET, hasty, pattern, read, storage};

const HOUR: Duration = Duration::from_hours(1);

async fn server() -> S3 {
    let buckets = ["bucket", "glacier", "deep"].map(ToOwned::to_owned);
    let archived = [("glacier", StorageClass::Glacier), ("deep", StorageClass::DeepArchive)];
    S3::start(Options {
        access_key: KEY.to_owned(),
        secret_key: SECRET.to_owned(),
        buckets: buckets.into(),
        archived: archived.map(|(bucket, class)| (bucket.to_owned(), class)).into(),
        ..Options::default()
    })
    .await
    .unwrap()
}

async fn client(server: &S3, limits: Limits) -> (Storage, Bucket) {
    let storage = storage(&server.address().to_string(), limits).await;
    let bucket = storage.bucket(&Local, "bucket").unwrap();
    (storage, bucket)
}

#[tokio::test]
async fn an_archived_object_comes_back_after_hours_and_goes_after_days() {
    let server = server().await;
    let (storage, plain) = client(&server, hasty()).await;
    let bytes = pattern(5000);
    for (name, class, hours) in [("glacier", "GLACIER", 5), ("deep", "DEEP_ARCHIVE", 12)] {
        let bucket = storage.bucket(&Local, name).unwrap();
        bucket.put_bytes("key", bytes.clone(), Attributes::default()).await.unwrap();
        let stat = bucket.stat("key").await.unwrap();
        assert_eq!((stat.storage_class.as_deref(), stat.restored), (Some(class), Restored::No));
        assert_eq!(bucket.get("key").await.unwrap_err().kind(), Kind::Archived);
        assert_eq!(bucket.restore("key", 10, Tier::Standard).await.unwrap(), Restore::Accepted);
        assert_eq!(bucket.restore("key", 10, Tier::Standard).await.unwrap(), Restore::InProgress);
        assert_eq!(bucket.stat("key").await.unwrap().restored, Restored::Ongoing);
        server.clock().advance(hours * HOUR);
        assert_eq!(bucket.restore("key", 10, Tier::Standard).await.unwrap(), Restore::Available);
        assert!(matches!(bucket.stat("key").await.unwrap().restored, Restored::Until(Some(_))));
        assert_eq!(read(bucket.get("key").await.unwrap()).await.unwrap(), bytes);
        server.clock().advance(12 * 24 * HOUR);
        assert_eq!(bucket.get("key").await.unwrap_err().kind(), Kind::Archived);
        assert_eq!(bucket.restore("absent", 10, Tier::Standard).await.unwrap_err().kind(), Kind::NotFound);
    }
    plain.put_bytes("key", bytes, Attributes::default()).await.unwrap();
    assert_eq!(plain.restore("key", 10, Tier::Standard).await.unwrap(), Restore::NotArchived);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_files_survive_a_bad_network() {
    let server = server().await;
    let (_storage, bucket) = client(&server, Limits { attempts: 8, ..hasty() }).await;
    let status = |status, code: &str| FaultKind::Status { status, code: code.to_owned() };
    for (n, kind) in [
        status(503, "SlowDown"),
        status(500, "InternalError"),
        FaultKind::Cut { after_bytes: 0 },
        FaultKind::Cut { after_bytes: 100 },
        FaultKind::Cut { after_bytes: 2000 },
    ]
    .into_iter()
    .enumerate()
    {
        for operation in [Operation::PutObject, Operation::GetObject] {
            let fault = Fault::new(kind.clone()).operation(operation).after(20 * n as u64).times(15);
            server.faults().add(fault).unwrap();
        }
    }
    let bytes = pattern(4096);
    let all = futures_util::stream::iter(0..300).map(async |n| {
        let key = format!("small/{n}");
        let stored = bucket.put_bytes(&key, bytes.slice(..n + 1000), Attributes::default()).await?;
        assert_eq!(read(bucket.get(&key).await?).await?, bytes[..n + 1000]);
        Ok::<_, storage::Error>(stored.size)
    });
    let sizes: Vec<u64> = all.buffer_unordered(64).try_collect().await.unwrap();
    assert_eq!(sizes.iter().sum::<u64>(), (1000..1300).sum::<u64>());
    assert!(server.faults().list().is_empty(), "all of them struck");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_parts_survives_a_bad_network() {
    let server = server().await;
    let (_storage, bucket) = client(&server, hasty()).await;
    let faults = [
        (Operation::CreateMultipartUpload, FaultKind::Status { status: 503, code: "SlowDown".to_owned() }),
        (Operation::UploadPart, FaultKind::Cut { after_bytes: 3_000_000 }),
        (Operation::UploadPart, FaultKind::Stall),
        (Operation::CompleteMultipartUpload, FaultKind::Cut { after_bytes: 1 << 30 }),
        (Operation::GetObject, FaultKind::Cut { after_bytes: 5_000_000 }),
    ];
    for (operation, kind) in faults {
        server.faults().add(Fault::new(kind).operation(operation).times(1)).unwrap();
    }
    let bytes = pattern(40 << 20);
    let chunks: Vec<_> = bytes.chunks(777_777).map(|chunk| Ok::<_, std::io::Error>(bytes.slice_ref(chunk))).collect();
    let put = Put { attributes: Attributes::default(), length: Length::Estimated(0), digest: None };
    let stored = bucket.put("large", futures_util::stream::iter(chunks), &put).await.unwrap();
    assert_eq!(stored.size, 40 << 20);
    assert!(read(bucket.get("large").await.unwrap()).await.unwrap() == bytes);
    assert!(server.faults().list().is_empty(), "all of them struck: {:?}", server.faults().list());
}
