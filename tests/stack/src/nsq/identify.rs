//! IDENTIFY: what a client asks for, what it gets within the limits of the server, and the answer.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::command::Refusal;
use super::{Options, VERSION};

/// nsqd's defaults for what a client does not ask for.
const OUTPUT_BUFFER_SIZE: i64 = 16 * 1024;
const OUTPUT_BUFFER_TIMEOUT: i64 = 250;

/// nsqd's bounds of what a client may ask for.
const OUTPUT_BUFFER_SIZES: std::ops::RangeInclusive<i64> = 64..=64 * 1024;
const OUTPUT_BUFFER_TIMEOUTS: std::ops::RangeInclusive<i64> = 25..=30_000;

/// What a connection and its server agreed on.
#[derive(Debug, Clone)]
pub(super) struct Agreement {
    pub(super) client_id: String,
    pub(super) hostname: String,
    pub(super) user_agent: String,
    /// None: the client wants no heartbeats.
    pub(super) heartbeat: Option<Duration>,
    pub(super) msg_timeout: Duration,
    pub(super) sample_rate: i32,
    /// The body of the response.
    pub(super) answer: String,
}

/// The fields that nsqd knows. A null counts as absent, as in Go.
#[derive(Debug, Default, Deserialize)]
struct Wishes {
    client_id: Option<String>,
    hostname: Option<String>,
    user_agent: Option<String>,
    heartbeat_interval: Option<i64>,
    output_buffer_size: Option<i64>,
    output_buffer_timeout: Option<i64>,
    feature_negotiation: Option<bool>,
    sample_rate: Option<i32>,
    msg_timeout: Option<i64>,
    // Read only so that a wrong type is an error.
    #[serde(rename = "tls_v1")]
    _tls: Option<bool>,
    #[serde(rename = "deflate")]
    _deflate: Option<bool>,
    #[serde(rename = "deflate_level")]
    _deflate_level: Option<i64>,
    #[serde(rename = "snappy")]
    _snappy: Option<bool>,
}

/// nsqd's default: half of its client time-out.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(30);

pub(super) fn negotiate(body: &[u8], options: &Options) -> Result<Agreement, Refusal> {
    let undecodable = |_| Refusal::fatal("E_BAD_BODY", "IDENTIFY failed to decode JSON body");
    let wishes: Option<Wishes> = serde_json::from_slice(body).map_err(undecodable)?;
    let wishes = wishes.unwrap_or_default();
    let invalid =
        |what: &str, value: i64| Err(Refusal::fatal("E_BAD_BODY", format!("IDENTIFY {what} ({value}) is invalid")));
    let longest = milliseconds(options.max_heartbeat_interval);
    let heartbeat = match wishes.heartbeat_interval.unwrap_or(0) {
        -1 => None,
        0 => Some(HEARTBEAT),
        wish if (1000..=longest).contains(&wish) => Some(Duration::from_millis(wish.unsigned_abs())),
        wish => return invalid("heartbeat interval", wish),
    };
    let mut buffer_timeout = match wishes.output_buffer_timeout.unwrap_or(0) {
        -1 => 0,
        0 => OUTPUT_BUFFER_TIMEOUT,
        wish if OUTPUT_BUFFER_TIMEOUTS.contains(&wish) => wish,
        wish => return invalid("output buffer timeout", wish),
    };
    let buffer_size = match wishes.output_buffer_size.unwrap_or(0) {
        -1 => {
            buffer_timeout = 0;
            1
        }
        0 => OUTPUT_BUFFER_SIZE,
        wish if OUTPUT_BUFFER_SIZES.contains(&wish) => wish,
        wish => return invalid("output buffer size", wish),
    };
    let sample_rate = wishes.sample_rate.unwrap_or(0);
    if !(0..=99).contains(&sample_rate) {
        return invalid("sample rate", sample_rate.into());
    }
    let msg_timeout = match wishes.msg_timeout.unwrap_or(0) {
        0 => options.msg_timeout,
        wish if (1000..=milliseconds(options.max_msg_timeout)).contains(&wish) => {
            Duration::from_millis(wish.unsigned_abs())
        }
        wish => return invalid("msg timeout", wish),
    };
    let answer = if wishes.feature_negotiation == Some(true) {
        // TLS and compression are off, as with nsqd's `--deflate=false --snappy=false`.
        let features = json!({
            "max_rdy_count": options.max_rdy_count,
            "version": VERSION,
            "max_msg_timeout": milliseconds(options.max_msg_timeout),
            "msg_timeout": milliseconds(msg_timeout),
            "tls_v1": false,
            "deflate": false,
            "deflate_level": 6,
            "max_deflate_level": 6,
            "snappy": false,
            "sample_rate": sample_rate,
            "auth_required": false,
            "output_buffer_size": buffer_size,
            "output_buffer_timeout": buffer_timeout,
        });
        features.to_string()
    } else {
        "OK".to_owned()
    };
    Ok(Agreement {
        client_id: wishes.client_id.unwrap_or_default(),
        hostname: wishes.hostname.unwrap_or_default(),
        user_agent: wishes.user_agent.unwrap_or_default(),
        heartbeat,
        msg_timeout,
        sample_rate,
        answer,
    })
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
