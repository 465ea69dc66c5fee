//! What the server says about requests: nothing of those that it refuses, unless one looks closer.

use std::io;
use std::sync::{Arc, Mutex};

use super::raw::{Request, exchange};
use super::target::{Target, plain};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The runtime has one thread, so that the server logs where the test listens.
#[tokio::test]
async fn a_refused_request_is_no_error_of_the_server() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let target = Target::ours().await;
    let unsigned = plain().get(format!("{}/bucket/key", target.endpoint)).send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    let host = target.endpoint.trim_start_matches("http://");
    for (request, status) in [
        (Request::new("GET", "/bucket").query("acl="), 501),
        (Request::new("POST", "/bucket").query("delete=").body("<Delete"), 400),
        (Request::new("GET", "/bucket/missing"), 404),
    ] {
        assert_eq!(request.send(&target.endpoint).await.status, status);
    }
    let virtual_host = Request::new("POST", "/").sign(host).head.replace(host, "bucket.s3.example.com");
    exchange(&target.endpoint, format!("{virtual_host}content-length: 0\r\n\r\n").as_bytes()).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let loud: Vec<&str> = log.lines().filter(|line| line.contains("ERROR") || line.contains("WARN")).collect();
    assert!(loud.is_empty(), "{loud:#?}");
    assert_eq!(log.lines().filter(|line| line.contains("refused")).count(), 5, "{log}");
}
