//! Who asks for a page: under which name of this machine, on behalf of which user, and whether a form is one of ours.
//! What the user may then do is decided in `changes` and in the store.
//!
//! Another site that is open in the same browser can send forms here, and under a name of its own that leads to this
//! machine it could read pages. So names that are not the machine's are refused, and a form has to carry the token that
//! only our pages have; what the browser says of the form's origin must not contradict it.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Problem;
use crate::registry::api::input;
use crate::registry::store::{Result, Store, User};
use crate::registry::vocabulary::role;

/// Our largest form is a token and a few words.
const LARGEST_FORM: usize = 64 << 10;
const FORM_PATIENCE: Duration = Duration::from_secs(30);
/// A list to choose from, not a directory.
const MOST_PEOPLE: usize = 100;

pub(super) const COOKIE: &str = "registry_acting_as";

/// Names and values of a form.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// Whether the request was sent to a loopback name. The port may be a forwarded one.
pub(super) fn is_local(headers: &HeaderMap) -> bool {
    let host = text(headers, &header::HOST);
    let name = if host.starts_with('[') {
        host.split_inclusive(']').next().unwrap_or_default()
    } else {
        host.split(':').next().unwrap_or_default()
    };
    ["127.0.0.1", "localhost", "[::1]"].contains(&name)
}

/// Reads a form that one of our pages sent.
pub(super) async fn form(headers: &HeaderMap, body: Body, token: &str) -> Result<Form, Problem> {
    let elsewhere = || {
        Problem::new(
            StatusCode::FORBIDDEN,
            "This form did not come from these pages, or from before a restart.\nGo back, reload the page, and try again.",
        )
    };
    let (origin, site) = (text(headers, &header::ORIGIN), text(headers, &HeaderName::from_static("sec-fetch-site")));
    let own = format!("http://{}", text(headers, &header::HOST));
    if !(origin.is_empty() || origin == own) || !["", "same-origin", "none"].contains(&site) {
        return Err(elsewhere());
    }
    let refused = |status, text: &str| Err(Problem::new(status, text));
    let read = tokio::time::timeout(FORM_PATIENCE, Limited::new(body, LARGEST_FORM).collect()).await;
    let bytes = match read {
        Ok(Ok(bytes)) => bytes.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, "This form is too large.");
        }
        Ok(Err(_)) => return refused(StatusCode::BAD_REQUEST, "The form broke off."),
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "The form did not arrive in time."),
    };
    let form = Form(input::params(&String::from_utf8_lossy(&bytes)));
    if form.value("csrf") == token { Ok(form) } else { Err(elsewhere()) }
}

/// The user that the cookie names.
pub(super) fn acting(headers: &HeaderMap) -> Option<i64> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE)?.1.parse().ok()
}

/// The users that one may act as.
pub(super) fn people(store: &Store) -> Result<Vec<User>> {
    let active = |user: &User| user.deactivated_at.is_none() && user.role != role::NONE;
    Ok(store.users()?.into_iter().filter(active).take(MOST_PEOPLE).collect())
}

/// The one that was chosen, or else the first administrator.
pub(super) fn chosen(people: &[User], id: Option<i64>) -> Option<&User> {
    let chosen = people.iter().find(|user| Some(user.id) == id);
    chosen.or_else(|| people.iter().find(|user| user.role == role::ADMIN)).or_else(|| people.first())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn names_of_this_machine() {
        for name in ["127.0.0.1:8080", "localhost", "localhost:1", "[::1]:80"] {
            assert!(is_local(&with(header::HOST, name)), "{name}");
        }
        for name in ["", "evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "[::2]", "0.0.0.0"] {
            assert!(!is_local(&with(header::HOST, name)), "{name}");
        }
    }

    #[test]
    fn the_cookie_is_a_number_among_others() {
        assert_eq!(acting(&with(header::COOKIE, "a=1; registry_acting_as=7; b")), Some(7));
        for other in ["registry_acting_as=", "registry_acting_as=7x", "xregistry_acting_as=7", ";;=;"] {
            assert_eq!(acting(&with(header::COOKIE, other)), None, "{other}");
        }
    }
}
