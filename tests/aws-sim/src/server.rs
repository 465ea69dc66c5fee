//! The HTTP server: one port on loopback, a thread of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::control;
use crate::dispatch::{self, Outcome};
use crate::wire::{Raw, Reply, plain};
use crate::world::World;

/// No request of the deployer is larger.
const LARGEST_BODY: usize = 64 << 20;

/// The running server; ends with the value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(port: u16, world: Arc<Mutex<World>>) -> io::Result<Self> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("aws-sim".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, world, stopped));
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

async fn serve(listener: StdListener, world: Arc<Mutex<World>>, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, Arc::clone(&world)));
            // A client that goes away, and a connection that a scenario drops, both end here.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A connection that is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the scenario closes this connection")
    }
}

impl std::error::Error for Closed {}

async fn respond(request: Request<Incoming>, world: Arc<Mutex<World>>) -> Result<Reply, Closed> {
    let (head, body) = request.into_parts();
    let head = Request::from_parts(head, ());
    let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
        return Ok(plain(413, "text/plain", "the body is too large, or broke off"));
    };
    let raw = Raw::new(&head, body.to_bytes());
    // A panic in another call would have poisoned the world; what it left is still the best there is to show.
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    if raw.path.starts_with("/_sim/") {
        return Ok(control::call(&mut world, &raw));
    }
    let reply: Response<_> = match dispatch::answer(&mut world, &raw) {
        Outcome::Answered(reply) => reply,
        Outcome::Dropped => return Err(Closed),
    };
    Ok(reply)
}
