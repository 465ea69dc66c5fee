//! The reader over a stream: where its source fails, waits or ends too soon.

use std::io;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, future, stream};
use tarball::{Error, Fault, Limits, ReadError, Reader};

use crate::make::{file, sample, tar};

fn chunks(tar: &[u8], length: usize) -> Vec<Result<Bytes, io::Error>> {
    tar.chunks(length).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect()
}

fn reader(chunks: Vec<Result<Bytes, io::Error>>) -> Reader<impl Stream<Item = Result<Bytes, io::Error>> + Unpin> {
    Reader::new(stream::iter(chunks), Limits::default())
}

/// Nothing here waits for anything.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

#[test]
fn contents_may_be_passed_over_or_read_in_part() {
    let (tar, _) = sample();
    let mut reader = reader(chunks(&tar, 300));
    let mut names = Vec::new();
    while let Some(entry) = now(reader.entry()).unwrap() {
        if names.len().is_multiple_of(2) && entry.size > 0 {
            assert!(now(reader.data()).unwrap().is_some());
        }
        names.push(entry.size);
    }
    assert_eq!(names, [0, 0, 512, 5, 700, 3, 3000]);
    assert!(now(reader.entry()).unwrap().is_none());
    assert!(now(reader.data()).unwrap().is_none());
}

#[test]
fn data_ends_with_the_entry() {
    let mut reader = reader(chunks(&tar(&[file("a", b"abc"), file("b", b"")]), 100));
    assert_eq!(now(reader.entry()).unwrap().unwrap().name, b"a");
    assert_eq!(now(reader.data()).unwrap().as_deref(), Some(&b"abc"[..]));
    assert!(now(reader.data()).unwrap().is_none());
    assert_eq!(now(reader.entry()).unwrap().unwrap().name, b"b");
    assert!(now(reader.data()).unwrap().is_none());
}

#[test]
fn a_cut_tar_and_a_failed_source_differ() {
    let whole = tar(&[file("a", &[1; 5000])]);
    let mut cut = reader(chunks(&whole[..2000], 100));
    now(cut.entry()).unwrap();
    let error = now(cut.entry()).unwrap_err();
    assert!(matches!(error, ReadError::Tar(Error { fault: Fault::Truncated, offset: 2000 })), "{error:?}");

    let mut broken = chunks(&whole[..2000], 100);
    broken.push(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
    broken.extend(chunks(&whole[2000..], 100));
    let mut reader = reader(broken);
    now(reader.entry()).unwrap();
    let error = now(reader.entry()).unwrap_err();
    assert!(matches!(&error, ReadError::Source(error) if error.kind() == io::ErrorKind::ConnectionReset), "{error:?}");
    // A source that goes on by itself is read on.
    assert!(now(reader.entry()).unwrap().is_none());
}

#[test]
fn dropped_futures_lose_nothing() {
    let (tar, _) = sample();
    // Every other time that it is asked, the source has nothing yet.
    let waiting = stream::iter(chunks(&tar, 200)).flat_map(|chunk| {
        let mut asked = false;
        let pause = future::poll_fn(move |_| {
            if std::mem::replace(&mut asked, true) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        pause.map(|()| chunk).into_stream().boxed()
    });
    let mut reader = Reader::new(waiting, Limits::default());
    let (mut sizes, mut drops) = (Vec::new(), 0);
    loop {
        match reader.entry().now_or_never() {
            None => drops += 1,
            Some(Ok(Some(entry))) => {
                let mut size = 0;
                while let Some(data) = loop {
                    match reader.data().now_or_never() {
                        None => drops += 1,
                        Some(data) => break data.unwrap(),
                    }
                } {
                    size += data.len() as u64;
                }
                assert_eq!(size, entry.size);
                sizes.push(size);
            }
            Some(end) => break assert!(end.unwrap().is_none()),
        }
    }
    assert_eq!(sizes, [0, 0, 512, 5, 700, 3, 3000]);
    assert!(drops > 10, "only {drops} futures were dropped");
}
