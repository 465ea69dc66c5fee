//! HTTP to nsqd and nsqlookupd: one client with time-outs, and answers of bounded size. What is asked is the callers'.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, redirect};

use crate::address::BadAddress;

/// A question over HTTP that got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection, no answer in time, or one that broke off.
    #[error("no answer from {url}")]
    Unavailable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url} answered {status}: {text}")]
    Status { url: String, status: StatusCode, text: String },
    /// nsqlookupd named an nsqd by what is no address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    #[error("the answer of {url} is longer than {LONGEST_ANSWER} bytes")]
    TooLong { url: String },
    #[error("the answer of {url} is not what it should be")]
    Malformed {
        url: String,
        #[source]
        source: serde_json::Error,
    },
}

/// For connecting, and for each answer as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) connect: Duration,
    pub(crate) answer: Duration,
}

/// Statistics of a server with ten thousand channels fit.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Follows no redirect: neither server sends one, and a publish must not go elsewhere.
///
/// # Panics
/// Without a process-wide provider of cryptography for rustls, which is the program's to choose.
pub(crate) fn client(patience: Patience) -> Client {
    Client::builder()
        .connect_timeout(patience.connect)
        .timeout(patience.answer)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("nothing in these settings can fail")
}

/// The body of a 200 answer.
pub(crate) async fn ask(request: RequestBuilder) -> Result<Vec<u8>, HttpError> {
    let (client, request) = request.build_split();
    let request = request.map_err(|source| HttpError::Unavailable { url: String::new(), source })?;
    let url = request.url().to_string();
    let unavailable =
        |source: reqwest::Error| HttpError::Unavailable { url: url.clone(), source: source.without_url() };
    let mut answer = client.execute(request).await.map_err(unavailable)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unavailable)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(HttpError::TooLong { url });
        }
        body.extend_from_slice(&chunk);
    }
    if answer.status() != StatusCode::OK {
        let text = String::from_utf8_lossy(&body[..body.len().min(300)]).replace(char::is_control, " ");
        return Err(HttpError::Status { url, status: answer.status(), text });
    }
    Ok(body)
}
