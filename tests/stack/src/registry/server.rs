//! The HTTP server: one port on loopback, a runtime of its own, so that it starts in and out of asynchronous programs
//! and all of it ends with the value.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::faults::{Fault, Faults};

/// More than all workers of a fleet hold; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 512;
/// For a request's head, and for a connection that sends nothing.
const HEAD_PATIENCE: Duration = Duration::from_mins(1);
const THREADS: usize = 2;

/// The running server; ends with the value.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn bind(port: u16) -> io::Result<(StdListener, SocketAddr)> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    pub(super) fn start(listener: StdListener, router: Router, faults: Faults) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("registry")
            .enable_all()
            .build()?;
        let thread = thread::Builder::new().name("registry-accept".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, router, faults, stopped));
            // Ends the connections' tasks; what the database is doing is done first.
            drop(runtime);
        })?;
        Ok(Self { address, stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The receiver is gone only when the thread has ended already.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: StdListener, router: Router, faults: Faults, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            _ = stopped.changed() => return,
        };
        let Some((stream, permit)) = accepted else {
            // Out of file descriptors, most likely: others have to close first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (router, faults) = (router.clone(), faults.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, router.clone(), faults.clone()));
            // A client that goes away, and a connection that a fault cuts, both end here.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    // Small answers go out at once.
    stream.set_nodelay(true).ok()?;
    Some((stream, permit))
}

/// A connection that is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault closes this connection")]
struct Cut;

async fn respond(request: Request<Incoming>, router: Router, faults: Faults) -> Result<Response<Body>, Cut> {
    let fault = faults.take(request.method().as_str(), request.uri().path());
    match fault {
        Some(Fault::CutBefore) => return Err(Cut),
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::Status(status)) => {
            let mut response = Response::new(Body::from("a fault that a test asked for"));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Ok(response);
        }
        Some(Fault::CutAfter) | None => {}
    }
    let service = TowerToHyperService::new(router);
    let Ok(mut response) = hyper::service::Service::call(&service, request).await;
    if fault == Some(Fault::CutAfter) {
        return Err(Cut);
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    headers.entry(header::PRAGMA).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    Ok(response)
}
