//! Taking in a body: to disk as it comes, its length, md5 and checksums verified before anyone is told that it is there.
//!
//! At most two batches of each upload are in memory: the one that comes in and the one being hashed and written.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, StdError, TrailingHeaders, s3_error};
use tokio::task::{JoinHandle, spawn_blocking};

use super::files::{DataFile, Files, Name};
use super::inbound::Taken;
use super::model::{Algorithm, Checksum, Segment, disk_error};

/// What is handed to the disk at once.
const BATCH: usize = 256 << 10;

/// S3's limit on one PUT and on one part.
pub(crate) const LARGEST: u64 = 5 << 30;

/// What the client said about the body.
#[derive(Debug)]
pub(crate) struct Announced {
    pub(crate) length: Option<i64>,
    pub(crate) md5: Option<String>,
    pub(crate) checksums: Vec<Checksum>,
    /// The checksum that follows the body, and where it will be.
    pub(crate) trailing: Option<(Algorithm, TrailingHeaders)>,
    /// A checksum to compute though none was sent.
    pub(crate) wanted: Option<Algorithm>,
    /// Told what was taken out of the body.
    pub(crate) taken: Taken,
}

/// What came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: Option<Checksum>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) names: Vec<Name>,
}

impl Announced {
    /// Reads the headers that describe a body.
    pub(crate) fn new<T>(request: &S3Request<T>, length: Option<i64>, md5: Option<String>) -> S3Result<Self> {
        let headers = &request.headers;
        let mut checksums = Vec::new();
        for (algorithm, _, header) in Algorithm::ALL {
            if let Some(value) = headers.get(header).and_then(|value| value.to_str().ok()) {
                checksums.push(Checksum { algorithm, value: value.to_owned() });
            }
        }
        let trailer = headers.get("x-amz-trailer").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let named = Algorithm::ALL.iter().find(|(.., header)| header.eq_ignore_ascii_case(trailer.trim()));
        let trailing = named.map(|(algorithm, ..)| *algorithm).zip(request.trailing_headers.clone());
        if checksums.len() + usize::from(trailing.is_some()) > 1 {
            let message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
            return Err(s3_error!(InvalidRequest, "{message}"));
        }
        if length.is_some_and(|length| u64::try_from(length).is_ok_and(|length| length > LARGEST)) {
            return Err(too_large());
        }
        let taken = request.extensions.get().cloned().unwrap_or_default();
        Ok(Self { length, md5, checksums, trailing, wanted: None, taken })
    }
}

/// Reads the body to its end and hands what came to `commit`, on a thread that may wait for the disk.
pub(crate) async fn receive<T: Send + 'static>(
    files: &Arc<Files>,
    body: Option<StreamingBlob>,
    announced: Announced,
    commit: impl FnOnce(Received) -> S3Result<T> + Send + 'static,
) -> S3Result<T> {
    let mut state = State::Idle(Box::new(Sink::new(files.clone(), &announced)));
    let (mut batch, mut held) = (Vec::new(), 0);
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(body_error)?;
            held += chunk.len();
            announced.taken.add(chunk.len());
            batch.push(chunk);
            if held >= BATCH {
                let full = std::mem::take(&mut batch);
                held = 0;
                let mut sink = state.sink().await?;
                state = State::Busy(spawn_blocking(move || sink.write(&full).map(|()| sink)));
            }
        }
    }
    let mut sink = state.sink().await?;
    let finish = move || {
        sink.write(&batch)?;
        commit(sink.finish(announced)?)
    };
    spawn_blocking(finish).await.map_err(S3Error::internal_error)?
}

enum State {
    Idle(Box<Sink>),
    Busy(JoinHandle<S3Result<Box<Sink>>>),
}

impl State {
    async fn sink(self) -> S3Result<Box<Sink>> {
        match self {
            Self::Idle(sink) => Ok(sink),
            Self::Busy(task) => task.await.map_err(S3Error::internal_error)?,
        }
    }
}

/// Where the bytes go.
struct Sink {
    files: Arc<Files>,
    file: Option<DataFile>,
    size: u64,
    md5: Md5,
    hasher: ChecksumHasher,
}

impl Sink {
    fn new(files: Arc<Files>, announced: &Announced) -> Self {
        let mut hasher = ChecksumHasher::default();
        let sent = announced.checksums.iter().map(|checksum| checksum.algorithm);
        let trailing = announced.trailing.iter().map(|(algorithm, _)| *algorithm);
        for algorithm in sent.chain(trailing).chain(announced.wanted) {
            enable(&mut hasher, algorithm);
        }
        Self { files, file: None, size: 0, md5: Md5::new(), hasher }
    }

    fn write(&mut self, batch: &[Bytes]) -> S3Result<()> {
        for bytes in batch {
            if bytes.is_empty() {
                continue;
            }
            self.size += bytes.len() as u64;
            if self.size > LARGEST {
                return Err(too_large());
            }
            self.md5.update(bytes);
            self.hasher.update(bytes);
            if self.file.is_none() {
                self.file = Some(self.files.create().map_err(disk_error)?);
            }
            if let Some(file) = &mut self.file {
                file.append(bytes).map_err(disk_error)?;
            }
        }
        Ok(())
    }

    fn finish(self, announced: Announced) -> S3Result<Received> {
        if announced.length.is_some_and(|length| u64::try_from(length) != Ok(self.size)) {
            return Err(incomplete());
        }
        let md5: [u8; 16] = self.md5.finalize().into();
        if announced.md5.is_some_and(|sent| BASE64_STANDARD.decode(sent.trim()).ok().as_deref() != Some(&md5)) {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
        let mut checksums = announced.checksums;
        if let Some((algorithm, trailers)) = announced.trailing {
            let value = trailers.read(|headers| headers.get(algorithm.header()).cloned()).flatten();
            let value = value.as_ref().and_then(|value| value.to_str().ok());
            let value = value.ok_or_else(missing_trailer)?;
            checksums.push(Checksum { algorithm, value: value.to_owned() });
        }
        let sums = self.hasher.finalize();
        for sent in &checksums {
            let expected = value(&sums, sent.algorithm);
            let bytes = |text: &str| BASE64_STANDARD.decode(text.trim()).ok();
            if bytes(&sent.value).is_none_or(|sent| Some(sent) != expected.and_then(bytes)) {
                let name = sent.algorithm.name();
                return Err(s3_error!(BadDigest, "The {name} you specified did not match the calculated checksum."));
            }
        }
        let algorithm = checksums.first().map(|sent| sent.algorithm).or(announced.wanted);
        let checksum = algorithm
            .and_then(|algorithm| value(&sums, algorithm).map(|value| Checksum { algorithm, value: value.to_owned() }));
        let mut received = Received { size: self.size, md5, checksum, segments: Vec::new(), names: Vec::new() };
        if let Some(file) = self.file {
            let (segment, name) = file.finish().map_err(disk_error)?;
            received.segments.push(segment);
            received.names.push(name);
        }
        Ok(received)
    }
}

pub(crate) fn enable(hasher: &mut ChecksumHasher, algorithm: Algorithm) {
    match algorithm {
        Algorithm::Crc32 => hasher.crc32 = Some(s3s::crypto::Crc32::default()),
        Algorithm::Crc32c => hasher.crc32c = Some(s3s::crypto::Crc32c::default()),
        Algorithm::Crc64Nvme => hasher.crc64nvme = Some(s3s::crypto::Crc64Nvme::default()),
        Algorithm::Sha1 => hasher.sha1 = Some(s3s::crypto::Sha1::default()),
        Algorithm::Sha256 => hasher.sha256 = Some(s3s::crypto::Sha256::default()),
    }
}

pub(crate) fn value(sums: &s3s::dto::Checksum, algorithm: Algorithm) -> Option<&str> {
    match algorithm {
        Algorithm::Crc32 => sums.checksum_crc32.as_deref(),
        Algorithm::Crc32c => sums.checksum_crc32c.as_deref(),
        Algorithm::Crc64Nvme => sums.checksum_crc64nvme.as_deref(),
        Algorithm::Sha1 => sums.checksum_sha1.as_deref(),
        Algorithm::Sha256 => sums.checksum_sha256.as_deref(),
    }
}

/// What went wrong while a body came in, as S3 answers it. The streams of s3s tell their failures only in words.
pub(crate) fn body_error(error: StdError) -> S3Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    let (code, message) = if text.contains("Sha256Mismatch") {
        let code = S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
        (code, "The provided 'x-amz-content-sha256' header does not match what was computed.")
    } else if text.contains("SignatureMismatch") {
        (S3ErrorCode::SignatureDoesNotMatch, "The signature of a chunk does not match the one that was computed.")
    } else if text.contains(super::inbound::SLOW) {
        let message = "Your socket connection to the server was not read from or written to within the timeout period.";
        (S3ErrorCode::RequestTimeout, message)
    } else if text.contains(super::inbound::CHUNK_TOO_LARGE) {
        (S3ErrorCode::InvalidRequest, "A chunk of the body is larger than this server holds in memory.")
    } else if text.contains("FormatError") || text.contains("TooLarge") || text.contains("TooMany") {
        (S3ErrorCode::InvalidRequest, "The body is not in the form of chunks that its headers announce.")
    } else {
        return incomplete();
    };
    let mut answer = S3Error::with_message(code, message);
    if answer.status_code().is_none() {
        answer.set_status_code(hyper::StatusCode::BAD_REQUEST);
    }
    answer.set_source(error);
    answer
}

fn missing_trailer() -> S3Error {
    let code = S3ErrorCode::Custom("MalformedTrailerError".into());
    let mut error = S3Error::with_message(code, "The request contained trailing data that was not well-formed");
    error.set_status_code(hyper::StatusCode::BAD_REQUEST);
    error
}

fn incomplete() -> S3Error {
    let message = "You did not provide the number of bytes specified by the Content-Length HTTP header";
    s3_error!(IncompleteBody, "{message}")
}

fn too_large() -> S3Error {
    s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed object size.")
}
