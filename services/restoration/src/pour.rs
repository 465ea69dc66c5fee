//! An upload that is written piece by piece: it stands when the writer came to a good end, and not at all otherwise.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use storage::{Bucket, Put, Stored};
use tokio::sync::mpsc;
use worker::Stop;

use crate::contents::Failure;
use crate::ground::failed;

/// Where the writer sends what is to be stored.
pub(crate) struct Outlet {
    sender: mpsc::Sender<Result<Bytes, Broken>>,
    /// Bytes that were sent.
    pub(crate) sent: u64,
}

/// The writer has given up.
#[derive(Debug)]
struct Broken;

/// Pieces between the writer and the upload.
const PIECES: usize = 16;

/// Stores what `write` sends to the outlet, and proves that it stands.
pub(crate) async fn pour<T>(
    bucket: &Bucket,
    key: &str,
    put: &Put,
    write: impl AsyncFnOnce(&mut Outlet) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let pieces = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).fuse();
    let writing = async move {
        let mut outlet = Outlet { sender, sent: 0 };
        let written = write(&mut outlet).await;
        if written.is_err() {
            // Nobody listens if it was the upload that failed.
            let _ = outlet.sender.send(Err(Broken)).await;
        }
        written.map(|written| (written, outlet.sent))
    };
    let (written, stored) = tokio::join!(writing, bucket.put(key, Box::pin(pieces), put));
    let (written, sent) = match (written, &stored) {
        (Err(Failure::Unwanted), Err(error)) => return Err(failed(key, error).into()),
        (written, _) => written?,
    };
    let stored = stored.map_err(|error| failed(key, &error))?;
    prove(bucket, key, &stored, sent).await?;
    Ok(written)
}

/// What was stored is what stands there.
async fn prove(bucket: &Bucket, key: &str, stored: &Stored, sent: u64) -> Result<(), Stop> {
    let found = bucket.stat(key).await.map_err(|error| failed(key, &error))?;
    if found.size == sent && found.etag.as_str() == stored.etag.as_str() {
        return Ok(());
    }
    let text = format!("{sent} bytes were stored as {key}, but {} of another version stand there", found.size);
    Err(Stop::failed(key, text))
}

impl Outlet {
    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.sent += bytes.len() as u64;
        self.sender.send(Ok(bytes)).await.map_err(|_| Failure::Unwanted)
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("what was to be stored could not be read")
    }
}

impl std::error::Error for Broken {}
