//! The bytes of a conversation with nsqd: frames that come in, commands that go out. It does no input or output.
//!
//! A frame is its length (4 bytes, big-endian, of what follows), its type (4 bytes) and the data.

use std::fmt;
use std::str;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use serde::{Deserialize, Serialize};

use crate::name::Name;

/// What opens a connection.
pub(crate) const MAGIC: &[u8; 4] = b"  V2";
/// What a message's frame has before the body: timestamp, attempts, id.
const MESSAGE_HEADER: usize = 8 + 2 + Id::LENGTH;
const TYPE: usize = 4;
/// A year: no server means more.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(365 * 24);

/// The 16 bytes by which nsqd knows a message; printable in every server that there is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id([u8; Self::LENGTH]);

/// What nsqd sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The answer to a command, or a heartbeat.
    Response(Box<[u8]>),
    Error(ServerError),
    Message {
        id: Id,
        attempts: u16,
        timestamp: i64,
        body: Box<[u8]>,
    },
}

/// An error frame. Three kinds are expected answers about one message; after any other, nsqd closes the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nsqd answered `{text}`")]
pub(crate) struct ServerError {
    text: Box<str>,
}

/// An answer of nsqd that says that a message is not ours any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Finish(Id),
    Requeue(Id),
    Touch(Id),
}

/// Bytes that are not NSQ's protocol, or not within the limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFrame {
    #[error("a frame of {length} bytes, and {limit} are the limit")]
    TooLong { length: u64, limit: usize },
    #[error("a frame of {0} bytes, too short for what it is")]
    TooShort(u64),
    #[error("a frame of the unknown type {0}")]
    UnknownType(u32),
}

/// What nsqd is asked for in IDENTIFY. There is no `msg_timeout`: asking for more than the server's maximum ends the
/// connection (07 A.6), and its own default comes back in the reply.
#[derive(Debug, Serialize)]
pub(crate) struct Identify<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) hostname: &'a str,
    pub(crate) user_agent: &'a str,
    pub(crate) feature_negotiation: bool,
    /// In milliseconds.
    pub(crate) heartbeat_interval: u64,
}

/// What nsqd answers to IDENTIFY, as far as we use it. Times are in milliseconds.
#[derive(Debug, Deserialize)]
struct IdentifyReply {
    max_rdy_count: i64,
    msg_timeout: i64,
    max_msg_timeout: i64,
    #[serde(default)]
    auth_required: bool,
}

/// What holds for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) max_ready: u32,
    /// After this long without a touch, nsqd gives a message to somebody else.
    pub(crate) message_timeout: Duration,
    /// Counted from delivery; touching never carries a message beyond it.
    pub(crate) max_message_timeout: Duration,
}

impl Id {
    pub const LENGTH: usize = 16;

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        text.as_bytes().try_into().ok().map(Self)
    }

    /// An id that no message has (those are hexadecimal), to ask nsqd for an answer; see `requeue`.
    pub(crate) fn fence(number: u32) -> Self {
        let text = format!("fence-{number:010}");
        Self(text.as_bytes().try_into().expect("6 + 10 digits: a u32 has no more"))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

impl ServerError {
    /// Longer texts are cut: they go into logs.
    fn new(data: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&data[..data.len().min(512)]);
        Self { text: text.replace(char::is_control, " ").into() }
    }

    /// Which message it is about, if it is one of the answers that leave the connection open:
    /// `E_FIN_FAILED FIN <id> failed <reason>` and its like.
    pub(crate) fn refused(&self) -> Option<Refused> {
        let mut words = self.text.split(' ');
        let code = words.next()?;
        words.next()?;
        let id = Id::from_text(words.next()?)?;
        match code {
            "E_FIN_FAILED" => Some(Refused::Finish(id)),
            "E_REQ_FAILED" => Some(Refused::Requeue(id)),
            "E_TOUCH_FAILED" => Some(Refused::Touch(id)),
            _ => None,
        }
    }
}

/// Takes the first frame out of what was received, if it is complete. A frame over the limit is refused by its length,
/// before anything is allocated for it; `limit` counts all but the length itself.
pub(crate) fn take_frame(received: &mut BytesMut, limit: usize) -> Result<Option<Frame>, BadFrame> {
    let Some(length) = received.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    let long = usize::try_from(length).unwrap_or(usize::MAX);
    if long > limit {
        return Err(BadFrame::TooLong { length: length.into(), limit });
    }
    if long < TYPE {
        return Err(BadFrame::TooShort(length.into()));
    }
    if received.len() < 4 + long {
        // One allocation at most for the rest of this frame, and none beyond it.
        received.reserve(4 + long - received.len());
        return Ok(None);
    }
    received.advance(4);
    let kind = received.get_u32();
    let data = &received[..long - TYPE];
    let frame = match kind {
        0 => Frame::Response(data.into()),
        1 => Frame::Error(ServerError::new(data)),
        2 => message(data).ok_or(BadFrame::TooShort(length.into()))?,
        other => return Err(BadFrame::UnknownType(other)),
    };
    received.advance(long - TYPE);
    Ok(Some(frame))
}

fn message(data: &[u8]) -> Option<Frame> {
    let (mut header, body) = data.split_at_checked(MESSAGE_HEADER)?;
    let timestamp = header.get_i64();
    let attempts = header.get_u16();
    Some(Frame::Message { id: Id(header.try_into().ok()?), attempts, timestamp, body: body.into() })
}

pub(crate) fn put_identify(out: &mut BytesMut, identify: &Identify<'_>) {
    let body = serde_json::to_vec(identify).expect("text and numbers have a JSON form");
    out.put_slice(b"IDENTIFY\n");
    out.put_u32(u32::try_from(body.len()).expect("a host name is no longer than a kilobyte"));
    out.put_slice(&body);
}

pub(crate) fn put_subscribe(out: &mut BytesMut, topic: &Name, channel: &Name) {
    put_line(out, &[b"SUB", topic.as_str().as_bytes(), channel.as_str().as_bytes()]);
}

pub(crate) fn put_ready(out: &mut BytesMut, count: u32) {
    put_line(out, &[b"RDY", count.to_string().as_bytes()]);
}

pub(crate) fn put_finish(out: &mut BytesMut, id: Id) {
    put_line(out, &[b"FIN", &id.0]);
}

/// The delay has whole milliseconds, rounded down.
pub(crate) fn put_requeue(out: &mut BytesMut, id: Id, delay: Duration) {
    put_line(out, &[b"REQ", &id.0, milliseconds(delay).to_string().as_bytes()]);
}

pub(crate) fn put_touch(out: &mut BytesMut, id: Id) {
    put_line(out, &[b"TOUCH", &id.0]);
}

pub(crate) fn put_nop(out: &mut BytesMut) {
    put_line(out, &[b"NOP"]);
}

pub(crate) fn put_close(out: &mut BytesMut) {
    put_line(out, &[b"CLS"]);
}

fn put_line(out: &mut BytesMut, words: &[&[u8]]) {
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.put_u8(b' ');
        }
        out.put_slice(word);
    }
    out.put_u8(b'\n');
}

/// Within what nsqd can read (it counts nanoseconds in an `i64`).
pub(crate) fn milliseconds(delay: Duration) -> u64 {
    const CENTURY: u64 = 100 * 366 * 24 * 3600 * 1000;
    u64::try_from(delay.as_millis()).unwrap_or(CENTURY).min(CENTURY)
}

/// Reads the reply to IDENTIFY; the error says what is wrong with it.
pub(crate) fn negotiated(reply: &[u8]) -> Result<Negotiated, String> {
    let shown = || reply[..reply.len().min(200)].escape_ascii();
    let parsed: IdentifyReply = serde_json::from_slice(reply)
        .map_err(|error| format!("the reply to IDENTIFY is not what nsqd sends ({error}): `{}`", shown()))?;
    if parsed.auth_required {
        return Err("nsqd wants AUTH, which these services do not speak".to_owned());
    }
    // Points in time are calculated with these, and must not overflow.
    let time = |milliseconds: i64| {
        let positive = u64::try_from(milliseconds).ok().filter(|time| *time > 0);
        positive.map(|time| Duration::from_millis(time).min(LONGEST_TIMEOUT))
    };
    let max_ready = u32::try_from(parsed.max_rdy_count.min(i64::from(u32::MAX))).ok().filter(|count| *count > 0);
    match (max_ready, time(parsed.msg_timeout), time(parsed.max_msg_timeout)) {
        (Some(max_ready), Some(message_timeout), Some(max_message_timeout)) => {
            Ok(Negotiated { max_ready, message_timeout, max_message_timeout })
        }
        _ => Err(format!("the reply to IDENTIFY has a count or a time that is not positive: `{}`", shown())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u32(u32::try_from(data.len()).unwrap() + 4);
        bytes.put_u32(kind);
        bytes.put_slice(data);
        bytes
    }

    fn all(bytes: &[u8], limit: usize) -> (Vec<Frame>, Result<usize, BadFrame>) {
        let mut received = BytesMut::from(bytes);
        let mut frames = Vec::new();
        loop {
            match take_frame(&mut received, limit) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, Ok(received.len())),
                Err(error) => return (frames, Err(error)),
            }
        }
    }

    #[test]
    fn frames_are_told_apart() {
        let mut data = 1_700_000_000_000_000_000_i64.to_be_bytes().to_vec();
        data.extend(3_u16.to_be_bytes());
        data.extend(b"0123456789abcdef42");
        let bytes = [frame(0, b"OK"), frame(1, b"E_INVALID"), frame(2, &data), vec![0, 0]].concat();
        let (frames, left) = all(&bytes, 1024);
        let message = Frame::Message {
            id: Id(*b"0123456789abcdef"),
            attempts: 3,
            timestamp: 1_700_000_000_000_000_000,
            body: b"42".as_slice().into(),
        };
        let expected =
            [Frame::Response(b"OK".as_slice().into()), Frame::Error(ServerError::new(b"E_INVALID")), message];
        assert_eq!(frames, expected);
        assert_eq!(left, Ok(2));
    }

    #[test]
    fn bad_lengths_and_types_are_refused_before_anything_is_allocated() {
        let mut received = BytesMut::from(&u32::MAX.to_be_bytes()[..]);
        let before = received.capacity();
        assert_eq!(take_frame(&mut received, 100), Err(BadFrame::TooLong { length: u32::MAX.into(), limit: 100 }));
        assert_eq!(received.capacity(), before);
        assert_eq!(all(&[0, 0, 0, 3], 100).1, Err(BadFrame::TooShort(3)));
        assert_eq!(all(&frame(2, &[0; MESSAGE_HEADER - 1]), 100).1, Err(BadFrame::TooShort(29)));
        assert_eq!(all(&frame(2, &[0; MESSAGE_HEADER]), 100).1, Ok(0));
        assert_eq!(all(&frame(7, b""), 100).1, Err(BadFrame::UnknownType(7)));
        assert_eq!(all(&frame(0, &[0; 96]), 100).1, Ok(0));
        assert_eq!(all(&frame(0, &[0; 97]), 100).1, Err(BadFrame::TooLong { length: 101, limit: 100 }));
    }

    #[test]
    fn an_error_names_the_message_that_it_is_about() {
        let id = Id(*b"0123456789abcdef");
        let refused = |text: &str| ServerError::new(text.as_bytes()).refused();
        assert_eq!(refused("E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight"), Some(Refused::Finish(id)));
        assert_eq!(refused("E_REQ_FAILED REQ 0123456789abcdef failed exiting"), Some(Refused::Requeue(id)));
        assert_eq!(refused("E_TOUCH_FAILED TOUCH 0123456789abcdef failed x"), Some(Refused::Touch(id)));
        for fatal in ["E_INVALID cannot FIN in current state", "E_FIN_FAILED", "E_FIN_FAILED FIN short", "", " "] {
            assert_eq!(refused(fatal), None, "{fatal}");
        }
    }

    #[test]
    fn commands_have_the_bytes_that_nsqd_reads() {
        let mut out = BytesMut::new();
        let id = Id(*b"0123456789abcdef");
        put_subscribe(&mut out, &"topic".parse().unwrap(), &"channel".parse().unwrap());
        put_ready(&mut out, 4);
        put_finish(&mut out, id);
        put_requeue(&mut out, id, Duration::from_micros(90_000_999));
        put_touch(&mut out, Id::fence(u32::MAX));
        put_nop(&mut out);
        put_close(&mut out);
        let lines = "SUB topic channel\nRDY 4\nFIN 0123456789abcdef\nREQ 0123456789abcdef 90000\n\
                     TOUCH fence-4294967295\nNOP\nCLS\n";
        assert_eq!(out, lines);
        let mut out = BytesMut::new();
        let identify = Identify {
            client_id: "c",
            hostname: "h",
            user_agent: "u",
            feature_negotiation: true,
            heartbeat_interval: 10_000,
        };
        put_identify(&mut out, &identify);
        assert_eq!(&out[..9], b"IDENTIFY\n");
        assert_eq!(out[9..13], u32::try_from(out.len() - 13).unwrap().to_be_bytes());
        assert!(!out.windows(11).any(|window| window == b"msg_timeout"), "07 A.6");
        assert_eq!(milliseconds(Duration::MAX), milliseconds(Duration::MAX / 2));
    }

    #[test]
    fn a_reply_that_cannot_be_kept_to_is_refused() {
        let good = r#"{"max_rdy_count":2500,"msg_timeout":60000,"max_msg_timeout":900000,"version":"1.2.0","more":[]}"#;
        let expected = Negotiated {
            max_ready: 2500,
            message_timeout: Duration::from_mins(1),
            max_message_timeout: Duration::from_mins(15),
        };
        assert_eq!(negotiated(good.as_bytes()), Ok(expected));
        let endless = negotiated(good.replace("900000", &i64::MAX.to_string()).as_bytes()).unwrap();
        assert_eq!(endless.max_message_timeout, LONGEST_TIMEOUT);
        for (bad, says) in [
            ("OK", "not what nsqd sends"),
            ("", "not what nsqd sends"),
            ("{}", "not what nsqd sends"),
            (&good.replace("2500", "0"), "not positive"),
            (&good.replace("60000", "-1"), "not positive"),
            (&good.replace("2500", "1e99"), "not what nsqd sends"),
            (&good.replace("\"more\":[]", "\"auth_required\":true"), "wants AUTH"),
        ] {
            let error = negotiated(bad.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    proptest! {
        /// Whatever comes, in whatever pieces: no panic, no more memory than the limit, the same frames.
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_frames(
            frames in prop::collection::vec((0_u32..4, prop::collection::vec(any::<u8>(), 0..64)), 0..6),
            noise in prop::collection::vec(any::<u8>(), 0..40),
            piece in 1_usize..50,
        ) {
            let mut bytes: Vec<u8> = frames.iter().flat_map(|(kind, data)| frame(*kind, data)).collect();
            bytes.extend(noise);
            let (whole, end) = all(&bytes, 128);
            let mut received = BytesMut::new();
            let mut got = Vec::new();
            let mut failed = None;
            'pieces: for part in bytes.chunks(piece) {
                received.extend_from_slice(part);
                loop {
                    match take_frame(&mut received, 128) {
                        Ok(Some(frame)) => got.push(frame),
                        Ok(None) => break,
                        Err(error) => {
                            failed = Some(error);
                            break 'pieces;
                        }
                    }
                }
                prop_assert!(received.capacity() <= 1024, "{}", received.capacity());
            }
            prop_assert_eq!(got, whole);
            prop_assert_eq!(failed, end.err());
        }
    }
}
