//! Answers to copies, which may take minutes: they begin in time, as S3's do, and keep the client waiting with white space.
//! Whether the copy succeeded then stands in the body alone, under a status of 200.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use futures_util::stream::{self, StreamExt as _};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::Response;
use hyper::header::{self, HeaderValue};
use s3s::{Body, HttpError, StdError};
use tokio::time::timeout;

use super::errors;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

type Answer = Result<Response<Body>, HttpError>;

/// The answer if it comes soon, otherwise one that says something each time so long has passed.
pub(crate) async fn answer(
    work: impl Future<Output = Answer> + Send + 'static,
    soon: Duration,
    request_id: &str,
) -> Answer {
    let mut work = work.boxed();
    match timeout(soon, &mut work).await {
        Ok(answer) => answer,
        Err(_) => Ok(waiting(work, soon, request_id.to_owned())),
    }
}

fn waiting(work: BoxFuture<'static, Answer>, soon: Duration, request_id: String) -> Response<Body> {
    let begun = stream::once(ready(Ok(Frame::data(Bytes::from_static(DECLARATION.as_bytes())))));
    let rest = stream::unfold(Some((work, request_id)), move |state| async move {
        let (mut work, id) = state?;
        Some(match timeout(soon, &mut work).await {
            Ok(answer) => (end(answer, &id).map(Frame::data), None),
            Err(_) => (Ok(Frame::data(Bytes::from_static(b" "))), Some((work, id))),
        })
    });
    let mut response = Response::new(Body::http_body_unsync(StreamBody::new(begun.chain(rest))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// The document itself, of which the declaration has been sent.
fn end(answer: Answer, request_id: &str) -> Result<Bytes, StdError> {
    let document = answer.map_err(|error| format!("{error:?}"))?.body().bytes().unwrap_or_default();
    let document = errors::complete(&document, request_id).map_or(document, Bytes::from);
    Ok(document.strip_prefix(DECLARATION.as_bytes()).map_or(document.clone(), |rest| document.slice_ref(rest)))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::sync::oneshot;

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    fn xml(document: &str) -> Response<Body> {
        Response::new(Body::from(format!("{DECLARATION}{document}")))
    }

    /// The body of an answer that is there when the client has been kept waiting three times.
    async fn waited(document: &'static str) -> String {
        let (finish, finished) = oneshot::channel::<()>();
        let work = async move {
            finished.await.unwrap();
            Ok(xml(document))
        };
        let (mut body, mut text) = (answer(work, SOON, "id").await.unwrap().into_body(), String::new());
        let mut finish = Some(finish);
        while let Some(frame) = body.frame().await {
            text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
            if let Some(finish) = finish.take_if(|_| text.ends_with("   ")) {
                finish.send(()).unwrap();
            }
        }
        text
    }

    #[tokio::test]
    async fn what_takes_long_says_so_and_ends_as_one_document() {
        let at_once = answer(ready(Ok(xml("<CopyPartResult/>"))), SOON, "id").await.unwrap();
        assert_eq!(at_once.body().bytes().unwrap(), format!("{DECLARATION}<CopyPartResult/>"));
        let text = waited("<CopyPartResult/>").await;
        let (declaration, rest) = text.split_at(DECLARATION.len());
        assert_eq!((declaration, rest.trim_start()), (DECLARATION, "<CopyPartResult/>"));
    }

    #[tokio::test]
    async fn a_failure_after_the_beginning_stands_in_the_body() {
        let text = waited("<Error><Code>InternalError</Code></Error>").await;
        assert!(text.starts_with(DECLARATION) && text.matches("<?xml").count() == 1, "{text}");
        assert!(text.contains("<Code>InternalError</Code><Message>"), "{text}");
        assert!(text.ends_with("<RequestId>id</RequestId></Error>"), "{text}");
    }
}
