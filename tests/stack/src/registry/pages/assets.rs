//! The files that pages load, built into the program: nothing comes from anywhere else.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

const ASSETS: [(&str, &str, &str); 3] = [
    ("registry.css", "text/css; charset=utf-8", include_str!("static/registry.css")),
    ("registry.js", "text/javascript; charset=utf-8", include_str!("static/registry.js")),
    ("registry.svg", "image/svg+xml", include_str!("static/registry.svg")),
];

pub(super) fn asset(name: &str) -> Option<Response> {
    let (_, kind, text) = ASSETS.into_iter().find(|(known, ..)| *known == name)?;
    let mut response = super::respond(StatusCode::OK, text.to_owned());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}
