//! Reading requests: an array of bulk strings and nothing else. No inline commands, which no client library sends and
//! with which a web page could talk to the server.
//!
//! Counts and lengths are checked as soon as they are read, and nothing is allocated for what was only announced. The
//! state between two reads is kept, so that a long request that comes in small pieces is not read again and again.

use std::ops::Range;

use super::reply::{Failure, integer};

/// The most elements of a request.
const MOST_ARGUMENTS: i64 = 1 << 20;

/// The longest element, in bytes.
const LONGEST_ARGUMENT: i64 = 512 << 20;

/// The longest line with a count or a length; the longest that is right has 7 or 9 digits.
const LONGEST_LINE: usize = 64;

/// What a client may send before it has given the password.
const MOST_ARGUMENTS_OF_A_STRANGER: i64 = 10;
const LONGEST_ARGUMENT_OF_A_STRANGER: i64 = 16 << 10;

/// More capacity than this is given back after a request.
const ARGUMENTS_KEPT: usize = 1 << 12;

/// Who sends: before the password only little is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Known,
    Stranger,
}

/// Reads one request after the other from the front of a buffer that grows.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// How far the request has been read.
    at: usize,
    /// The elements that are still to come, once the count has been read.
    left: Option<usize>,
    /// The length of the element at `at`, once it has been read.
    length: Option<usize>,
    arguments: Vec<Range<usize>>,
}

impl Parser {
    /// Goes on with the request that `buffer` begins with. If it is complete, returns its length in bytes; its elements
    /// are then [`Self::arguments`], and the next call begins a new request. An error ends the connection.
    pub(super) fn advance(&mut self, buffer: &[u8], sender: Sender) -> Result<Option<usize>, Failure> {
        let mut left = match self.left {
            Some(left) => left,
            None => match self.count(buffer, sender)? {
                Some(count) => count,
                None => return Ok(None),
            },
        };
        while left > 0 {
            self.left = Some(left);
            if !self.element(buffer, sender)? {
                return Ok(None);
            }
            left -= 1;
        }
        self.left = None;
        Ok(Some(std::mem::take(&mut self.at)))
    }

    /// The elements of the request that was complete last, as places in its bytes.
    pub(super) fn arguments(&self) -> &[Range<usize>] {
        &self.arguments
    }

    /// Whether part of a request has been read.
    pub(super) fn is_within(&self) -> bool {
        self.at > 0
    }

    fn count(&mut self, buffer: &[u8], sender: Sender) -> Result<Option<usize>, Failure> {
        let Some(first) = buffer.first() else { return Ok(None) };
        if *first != b'*' {
            return Err(expected('*', *first));
        }
        let Some((line, next)) = line(buffer, 1, "too big mbulk count string")? else { return Ok(None) };
        let count = match integer(line) {
            Some(count) if count > MOST_ARGUMENTS_OF_A_STRANGER && sender == Sender::Stranger => {
                return Err(protocol_error("unauthenticated multibulk length"));
            }
            // An array of less than nothing is taken for an empty one, as the real server does.
            Some(count) if count <= MOST_ARGUMENTS => usize::try_from(count).unwrap_or(0),
            _ => return Err(protocol_error("invalid multibulk length")),
        };
        self.arguments.clear();
        self.arguments.shrink_to(ARGUMENTS_KEPT);
        self.at = next;
        Ok(Some(count))
    }

    /// Tells whether the element was there as a whole.
    fn element(&mut self, buffer: &[u8], sender: Sender) -> Result<bool, Failure> {
        let length = if let Some(length) = self.length {
            length
        } else {
            let Some(first) = buffer.get(self.at) else { return Ok(false) };
            if *first != b'$' {
                return Err(expected('$', *first));
            }
            let Some((line, next)) = line(buffer, self.at + 1, "too big bulk count string")? else { return Ok(false) };
            let length = match integer(line) {
                Some(length) if length > LONGEST_ARGUMENT_OF_A_STRANGER && sender == Sender::Stranger => {
                    return Err(protocol_error("unauthenticated bulk length"));
                }
                Some(length) if length <= LONGEST_ARGUMENT => usize::try_from(length).ok(),
                _ => None,
            };
            let length = length.ok_or_else(|| protocol_error("invalid bulk length"))?;
            self.length = Some(length);
            self.at = next;
            length
        };
        let end = self.at + length;
        match buffer.get(end..end + 2) {
            None => return Ok(false),
            Some(b"\r\n") => {}
            Some(_) => return Err(protocol_error("a bulk string is longer than its length says")),
        }
        self.arguments.push(self.at..end);
        self.length = None;
        self.at = end + 2;
        Ok(true)
    }
}

/// The line that begins at `from`, and where the next one begins.
fn line<'a>(buffer: &'a [u8], from: usize, too_long: &str) -> Result<Option<(&'a [u8], usize)>, Failure> {
    let rest = &buffer[from..buffer.len().min(from + LONGEST_LINE + 2)];
    match rest.iter().position(|byte| *byte == b'\r') {
        None if rest.len() > LONGEST_LINE => Err(protocol_error(too_long)),
        None => Ok(None),
        Some(end) => match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some((&rest[..end], from + end + 2))),
            Some(_) => Err(protocol_error("a carriage return without a line feed")),
        },
    }
}

fn expected(kind: char, got: u8) -> Failure {
    protocol_error(&format!("expected '{kind}', got '{}'", got.escape_ascii()))
}

fn protocol_error(what: &str) -> Failure {
    Failure::from(format!("ERR Protocol error: {what}"))
}

#[cfg(test)]
mod tests;
