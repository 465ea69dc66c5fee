//! Faults strike what they are asked to strike, and nothing else.

use std::time::{Duration, Instant};

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use stack::s3::{Fault, FaultKind, Operation, Options};
use tokio::io::AsyncWriteExt as _;

use super::raw::{Request, connect, exchange, read};
use super::target::{Target, failure, plain};

#[tokio::test]
async fn a_status_strikes_as_often_as_it_was_asked_for() {
    let target = Target::ours().await;
    let kind = FaultKind::Status { status: 503, code: "SlowDown".into() };
    let fault = Fault::new(kind).bucket("bucket").operation(Operation::PutObject).after(1).times(2);
    target.server().faults().add(fault).unwrap();
    let put = || target.client.put_object().bucket("bucket").key("key").body(b"x".to_vec().into()).send();
    put().await.unwrap();
    for _ in 0..2 {
        assert_eq!(failure(put().await), ("SlowDown".into(), 503));
        assert_eq!(target.get("key").await, b"x", "other operations are spared");
    }
    put().await.unwrap();
    assert!(target.server().faults().list().is_empty());
}

#[tokio::test]
async fn latency_is_added() {
    let target = Target::ours().await;
    target.server().faults().add(Fault::new(FaultKind::Latency { milliseconds: 300 })).unwrap();
    let start = Instant::now();
    target.put("key", "x").await;
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn an_upload_that_is_cut_leaves_nothing() {
    let target = Target::ours().await;
    let fault = Fault::new(FaultKind::Cut { after_bytes: 500_000 }).operation(Operation::PutObject).times(1);
    target.server().faults().add(fault).unwrap();
    let put = || target.client.put_object().bucket("bucket").key("key").body(vec![1; 1 << 20].into()).send();
    assert_eq!(failure(put().await).1, 0, "there must be no answer");
    assert!(target.keys().await.is_empty());
    put().await.unwrap();
    assert_eq!(target.get("key").await.len(), 1 << 20);
}

#[tokio::test]
async fn an_answer_may_get_lost_after_the_work_was_done() {
    let target = Target::ours().await;
    let fault = Fault::new(FaultKind::Cut { after_bytes: 1 << 30 }).operation(Operation::PutObject);
    target.server().faults().add(fault).unwrap();
    let put = target.client.put_object().bucket("bucket").key("key").body(b"hello".to_vec().into());
    assert_eq!(failure(put.send().await).1, 0);
    assert_eq!(target.get("key").await, b"hello");
    target.server().faults().reset();
    let fault = Fault::new(FaultKind::Cut { after_bytes: 0 }).operation(Operation::DeleteObject);
    target.server().faults().add(fault).unwrap();
    assert_eq!(failure(target.client.delete_object().bucket("bucket").key("key").send().await).1, 0);
    assert!(target.keys().await.is_empty());
}

#[tokio::test]
async fn a_download_is_cut_after_so_many_bytes() {
    let target = Target::ours().await;
    target.put("key", vec![1; 1 << 20]).await;
    let fault = Fault::new(FaultKind::Cut { after_bytes: 300_000 }).operation(Operation::GetObject);
    target.server().faults().add(fault).unwrap();
    let got = Request::new("GET", "/bucket/key").send(&target.endpoint).await;
    assert_eq!((got.status, got.header("content-length")), (200, Some("1048576")));
    // What hyper had not sent yet when the body failed goes with the connection.
    assert!(got.body.len() <= 300_000);
    let through_the_sdk = target.client.get_object().bucket("bucket").key("key").send().await;
    if let Ok(got) = through_the_sdk {
        got.body.collect().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_stalled_request_ends_when_the_faults_are_reset() {
    let target = Target::start(Options { admin: true, ..Options::default() }).await;
    let admin = target.server().admin().unwrap();
    let url = format!("{}/faults", admin.url());
    let add = plain().post(&url).bearer_auth(admin.token());
    let add = add.body(r#"{"method": "get", "bucket": "bucket", "kind": "stall"}"#).send().await.unwrap();
    assert_eq!(add.status(), 200);
    let listed = plain().get(&url).bearer_auth(admin.token()).send().await.unwrap().text().await.unwrap();
    assert!(listed.contains("\"stall\""), "{listed}");
    let host = target.endpoint.trim_start_matches("http://");
    let get = || format!("{}\r\n", Request::new("GET", "/bucket/key").sign(host).head);
    let mut stalled = connect(&target.endpoint).await;
    stalled.write_all(get().as_bytes()).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(200), stalled.readable()).await;
    assert!(nothing.is_err(), "it must not be answered");
    let reset = plain().delete(&url).bearer_auth(admin.token()).send().await.unwrap();
    assert_eq!(reset.status(), 200);
    assert!(read(&mut stalled).await.is_none(), "the connection is cut");
    assert_eq!(exchange(&target.endpoint, get().as_bytes()).await.status, 404);
}

#[tokio::test]
async fn a_completion_whose_answer_got_lost_is_answered_when_it_is_repeated() {
    let target = Target::ours().await;
    let start = target.client.create_multipart_upload().bucket("bucket").key("key").send().await.unwrap();
    let id = start.upload_id().unwrap();
    let mut parts = Vec::new();
    for (number, body) in [(1, vec![1; 5 << 20]), (2, b"end".to_vec())] {
        let part = target.client.upload_part().bucket("bucket").key("key").upload_id(id).part_number(number);
        let part = part.body(body.into()).send().await.unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    let complete = |parts: &[CompletedPart]| {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build();
        target.client.complete_multipart_upload().bucket("bucket").key("key").upload_id(id).multipart_upload(parts)
    };
    let fault = Fault::new(FaultKind::Cut { after_bytes: 1 << 30 }).operation(Operation::CompleteMultipartUpload);
    target.server().faults().add(fault.times(1)).unwrap();
    assert_eq!(failure(complete(&parts).if_none_match("*").send().await).1, 0, "there must be no answer");
    let again = complete(&parts).if_none_match("*").send().await.unwrap();
    let head = target.client.head_object().bucket("bucket").key("key").send().await.unwrap();
    assert_eq!(again.e_tag(), head.e_tag());
    let other = complete(&parts[..1]).send().await;
    assert_eq!(failure(other), ("NoSuchUpload".into(), 404), "these are not the parts that were completed");
}
