//! What callers rely on in the futures themselves: they can be spawned, and thousands of them take little room.

use futures_util::stream::Empty;
use storage::{Attributes, Bucket, Copy, Depth, Error, Length, Put, Source, Tier};

fn check<T>(what: &str, future: &(impl Future<Output = T> + Send)) {
    let size = size_of_val(future);
    assert!(size <= 4096, "{what}: {size} bytes");
}

#[tokio::test]
async fn they_are_small_and_can_be_spawned() {
    let bucket: Bucket = crate::support::bucket("127.0.0.1:1", crate::support::hasty(), "bucket").await;
    let put = Put { attributes: Attributes::default(), length: Length::Known(0), digest: None };
    let copy = Copy { size: 0, etag: None, attributes: None };
    check("get", &bucket.get("key"));
    check("stat", &bucket.stat("key"));
    check("find", &bucket.find("key"));
    let none: Empty<Result<bytes::Bytes, Error>> = futures_util::stream::empty();
    check("put", &bucket.put("key", none, &put));
    check("put_bytes", &bucket.put_bytes("key", bytes::Bytes::new(), Attributes::default()));
    let source = Source::new(&bucket, "source");
    check("put_from", &bucket.put_from("key", &source, &put));
    check("copy_from", &bucket.copy_from("key", &bucket, "source", &copy));
    check("delete", &bucket.delete("key"));
    check("delete_many", &bucket.delete_many(&[]));
    check("restore", &bucket.restore("key", 1, Tier::Standard));
    let mut list = bucket.list("", Depth::All);
    check("page", &list.page());
}
