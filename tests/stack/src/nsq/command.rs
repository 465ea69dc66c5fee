//! Reads the commands of nsqd's TCP protocol from bytes. Pure: it neither waits nor changes anything, so it is what the
//! tests throw bytes at. What a command does is `connection`'s business.

use std::time::Duration;

use super::message::ID_LENGTH;

/// Longest command line, without which a client could send one for ever.
const LONGEST_LINE: usize = 16 * 1024;

/// A command, complete and well formed. Bodies are slices of what was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Identify(&'a [u8]),
    Auth(&'a [u8]),
    Sub {
        topic: &'a str,
        channel: &'a str,
    },
    Publish {
        topic: &'a str,
        delay: Option<Duration>,
        body: &'a [u8],
    },
    PublishMany {
        topic: &'a str,
        bodies: Vec<&'a [u8]>,
    },
    Ready(i64),
    Finish([u8; ID_LENGTH]),
    /// The delay is cut to nsqd's bounds already.
    Requeue([u8; ID_LENGTH], Duration),
    Touch([u8; ID_LENGTH]),
    Close,
    Nop,
}

/// What the parser makes of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// A command, and how many bytes it took.
    Command(Command<'a>, usize),
    /// More bytes are needed; if none come, this is the error, unless the line itself is unfinished.
    Incomplete(Option<Refusal>),
    /// A command line without an end: the connection closes without an answer.
    Endless,
}

/// An error that the client is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: &'static str,
    text: Vec<u8>,
    /// The connection closes after it.
    pub(super) is_fatal: bool,
}

impl Refusal {
    pub(super) fn fatal(code: &'static str, text: impl Into<Vec<u8>>) -> Self {
        Self { code, text: text.into(), is_fatal: true }
    }

    pub(super) fn passing(code: &'static str, text: impl Into<Vec<u8>>) -> Self {
        Self { code, text: text.into(), is_fatal: false }
    }

    /// The code as HTTP answers give it.
    pub(super) fn http_code(&self) -> &'static str {
        self.code.trim_start_matches("E_")
    }

    /// The body of the error frame.
    pub(super) fn frame(&self) -> Vec<u8> {
        [self.code.as_bytes(), b" ", &self.text].concat()
    }
}

/// Where a connection stands. The numbers are those of the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Init = 0,
    Subscribed = 3,
    Closing = 4,
}

/// The limits that decide whether a command is well formed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) msg_size: usize,
    pub(super) body_size: usize,
    pub(super) rdy_count: i64,
    pub(super) req_timeout: Duration,
}

/// The first command in the bytes.
pub(super) fn parse<'a>(input: &'a [u8], stage: Stage, limits: &Limits) -> Result<Step<'a>, Refusal> {
    let window = &input[..input.len().min(LONGEST_LINE)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return Ok(if window.len() == LONGEST_LINE { Step::Endless } else { Step::Incomplete(None) });
    };
    let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
    let mut words = line.split(|byte| *byte == b' ');
    let name = words.next().unwrap_or_default();
    let reader = Reader { input, at: end + 1, stage, limits, words };
    match name {
        b"FIN" => reader.answer("FIN"),
        b"RDY" => reader.ready(),
        b"REQ" => reader.requeue(),
        b"PUB" => reader.publish("PUB"),
        b"MPUB" => reader.publish_many(),
        b"DPUB" => reader.publish("DPUB"),
        b"NOP" => reader.done(Command::Nop),
        b"TOUCH" => reader.answer("TOUCH"),
        b"SUB" => reader.subscribe(),
        b"CLS" => {
            reader.require("CLS", &[Stage::Subscribed])?;
            reader.done(Command::Close)
        }
        b"IDENTIFY" => reader.document("IDENTIFY"),
        b"AUTH" => reader.document("AUTH"),
        _ => Err(Refusal::fatal("E_INVALID", [b"invalid command ", name].concat())),
    }
}

struct Reader<'a, 'b, W> {
    input: &'a [u8],
    /// The first byte after the command line.
    at: usize,
    stage: Stage,
    limits: &'b Limits,
    words: W,
}

type Parsed<'a> = Result<Step<'a>, Refusal>;

impl<'a, W: Iterator<Item = &'a [u8]>> Reader<'a, '_, W> {
    #[expect(clippy::unnecessary_wraps, reason = "the end of every command")]
    fn done(self, command: Command<'a>) -> Parsed<'a> {
        Ok(Step::Command(command, self.at))
    }

    fn require(&self, command: &str, stages: &[Stage]) -> Result<(), Refusal> {
        if stages.contains(&self.stage) {
            return Ok(());
        }
        Err(Refusal::fatal("E_INVALID", format!("cannot {command} in current state")))
    }

    fn word(&mut self, command: &str, many: &str) -> Result<&'a [u8], Refusal> {
        let lacking = || Refusal::fatal("E_INVALID", format!("{command} insufficient number of {many}"));
        self.words.next().ok_or_else(lacking)
    }

    fn topic(&mut self, command: &str) -> Result<&'a str, Refusal> {
        let name = self.word(command, "parameters")?;
        // nsqd repeats the code in the text of MPUB.
        let prefix = if command == "MPUB" { "E_BAD_TOPIC " } else { "" };
        let invalid = || format!("{prefix}{command} topic name {} is not valid", quoted(name));
        valid_name(name).ok_or_else(|| Refusal::fatal("E_BAD_TOPIC", invalid()))
    }

    fn id(&mut self, command: &str) -> Result<[u8; ID_LENGTH], Refusal> {
        let word = self.word(command, "params")?;
        word.try_into().map_err(|_| Refusal::fatal("E_INVALID", "Invalid Message ID"))
    }

    /// FIN and TOUCH.
    fn answer(mut self, command: &'static str) -> Parsed<'a> {
        self.require(command, &[Stage::Subscribed, Stage::Closing])?;
        let id = self.id(command)?;
        self.done(if command == "FIN" { Command::Finish(id) } else { Command::Touch(id) })
    }

    fn requeue(mut self) -> Parsed<'a> {
        self.require("REQ", &[Stage::Subscribed, Stage::Closing])?;
        let id = self.word("REQ", "params")?;
        let delay = self.word("REQ", "params")?;
        let id = id.try_into().map_err(|_| Refusal::fatal("E_INVALID", "Invalid Message ID"))?;
        let unreadable = || Refusal::fatal("E_INVALID", [b"REQ could not parse timeout ", delay].concat());
        let nanoseconds = nanoseconds(decimal(delay).ok_or_else(unreadable)?);
        let delay = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0)).min(self.limits.req_timeout);
        self.done(Command::Requeue(id, delay))
    }

    fn ready(mut self) -> Parsed<'a> {
        if self.stage == Stage::Closing {
            return self.done(Command::Nop);
        }
        self.require("RDY", &[Stage::Subscribed])?;
        let mut count = 1;
        if let Some(word) = self.words.next() {
            let unreadable = || Refusal::fatal("E_INVALID", [b"RDY could not parse count ", word].concat());
            count = decimal(word).ok_or_else(unreadable)?.cast_signed();
        }
        let most = self.limits.rdy_count;
        if !(0..=most).contains(&count) {
            return Err(Refusal::fatal("E_INVALID", format!("RDY count {count} out of range 0-{most}")));
        }
        self.done(Command::Ready(count))
    }

    fn subscribe(mut self) -> Parsed<'a> {
        self.require("SUB", &[Stage::Init])?;
        let (Some(topic), Some(channel)) = (self.words.next(), self.words.next()) else {
            return Err(Refusal::fatal("E_INVALID", "SUB insufficient number of parameters"));
        };
        let invalid = |kind: &str, name| format!("SUB {kind} name {} is not valid", quoted(name));
        let bad_topic = || Refusal::fatal("E_BAD_TOPIC", invalid("topic", topic));
        let bad_channel = || Refusal::fatal("E_BAD_CHANNEL", invalid("channel", channel));
        let topic = valid_name(topic).ok_or_else(bad_topic)?;
        let channel = valid_name(channel).ok_or_else(bad_channel)?;
        self.done(Command::Sub { topic, channel })
    }

    /// IDENTIFY and AUTH.
    fn document(mut self, command: &'static str) -> Parsed<'a> {
        self.require(command, &[Stage::Init])?;
        if command == "AUTH" && self.words.next().is_some() {
            return Err(Refusal::fatal("E_INVALID", "AUTH invalid number of parameters"));
        }
        let missing = |part| lacking("E_BAD_BODY", command, part);
        let Some(size) = self.length() else { return Ok(missing("body size")) };
        let most = self.limits.body_size;
        if i64::from(size) > i64::try_from(most).unwrap_or(i64::MAX) {
            return Err(Refusal::fatal("E_BAD_BODY", format!("{command} body too big {size} > {most}")));
        }
        let size = positive(size)
            .ok_or_else(|| Refusal::fatal("E_BAD_BODY", format!("{command} invalid body size {size}")))?;
        let Some(body) = self.bytes(size) else { return Ok(missing("body")) };
        self.done(if command == "AUTH" { Command::Auth(body) } else { Command::Identify(body) })
    }

    /// PUB and DPUB.
    fn publish(mut self, command: &'static str) -> Parsed<'a> {
        let mut delay = None;
        let topic;
        if command == "DPUB" {
            let (Some(name), Some(word)) = (self.words.next(), self.words.next()) else {
                return Err(Refusal::fatal("E_INVALID", "DPUB insufficient number of parameters"));
            };
            let invalid = || format!("DPUB topic name {} is not valid", quoted(name));
            topic = valid_name(name).ok_or_else(|| Refusal::fatal("E_BAD_TOPIC", invalid()))?;
            let unreadable = || Refusal::fatal("E_INVALID", [b"DPUB could not parse timeout ", word].concat());
            let milliseconds = decimal(word).ok_or_else(unreadable)?;
            let most = self.limits.req_timeout;
            let wanted = u64::try_from(nanoseconds(milliseconds)).ok().map(Duration::from_nanos);
            let out_of_range = || format!("DPUB timeout {milliseconds} out of range 0-{}", most.as_millis());
            let within = wanted.filter(|delay| *delay <= most);
            delay = Some(within.ok_or_else(|| Refusal::fatal("E_INVALID", out_of_range()))?);
        } else {
            topic = self.topic(command)?;
        }
        let missing = |part| lacking("E_BAD_MESSAGE", command, part);
        let Some(size) = self.length() else { return Ok(missing("message body size")) };
        let invalid = || Refusal::fatal("E_BAD_MESSAGE", format!("{command} invalid message body size {size}"));
        let checked = positive(size).ok_or_else(invalid)?;
        let most = self.limits.msg_size;
        if checked > most {
            return Err(Refusal::fatal("E_BAD_MESSAGE", format!("{command} message too big {size} > {most}")));
        }
        let Some(body) = self.bytes(checked) else { return Ok(missing("message body")) };
        self.done(Command::Publish { topic, delay, body })
    }

    fn publish_many(mut self) -> Parsed<'a> {
        let topic = self.topic("MPUB")?;
        let missing = |part| lacking("E_BAD_BODY", "MPUB", part);
        let Some(size) = self.length() else { return Ok(missing("body size")) };
        let invalid = || Refusal::fatal("E_BAD_BODY", format!("MPUB invalid body size {size}"));
        let checked = positive(size).ok_or_else(invalid)?;
        let most = self.limits.body_size;
        if checked > most {
            return Err(Refusal::fatal("E_BAD_BODY", format!("MPUB body too big {size} > {most}")));
        }
        // The messages say themselves where they end. What they leave of the announced length is read as the next
        // command, as nsqd does.
        let come = &self.input[self.at..];
        match split_many(&come[..come.len().min(checked)], self.limits)? {
            Many::All(bodies, used) => {
                self.at += used;
                self.done(Command::PublishMany { topic, bodies })
            }
            Many::Missing(refusal) if come.len() >= checked => Err(refusal),
            Many::Missing(refusal) => Ok(Step::Incomplete(Some(refusal))),
        }
    }

    /// Four bytes, big-endian and signed.
    fn length(&mut self) -> Option<i32> {
        let bytes = self.bytes(4)?;
        Some(i32::from_be_bytes(bytes.try_into().unwrap_or_default()))
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.input.get(self.at..self.at + count)?;
        self.at += count;
        Some(bytes)
    }
}

/// The body of an MPUB, as far as it has come.
pub(super) enum Many<'a> {
    /// The messages, and how many bytes they take.
    All(Vec<&'a [u8]>, usize),
    /// More bytes are needed; if none come, this is the error.
    Missing(Refusal),
}

pub(super) fn split_many<'a>(body: &'a [u8], limits: &Limits) -> Result<Many<'a>, Refusal> {
    let mut at = 0;
    let mut take = |count: usize| {
        let bytes = body.get(at..at + count)?;
        at += count;
        Some(bytes)
    };
    let number = |bytes: &[u8]| i32::from_be_bytes(bytes.try_into().unwrap_or_default());
    let Some(count) = take(4).map(number) else {
        return Ok(Many::Missing(Refusal::fatal("E_BAD_BODY", "MPUB failed to read message count")));
    };
    // Each message takes five bytes or more.
    let most = limits.body_size.saturating_sub(4) / 5;
    let invalid = || Refusal::fatal("E_BAD_BODY", format!("MPUB invalid message count {count}"));
    let count = positive(count).filter(|count| *count <= most).ok_or_else(invalid)?;
    let mut bodies = Vec::with_capacity(count.min(body.len() / 5 + 1));
    for index in 0..count {
        let Some(size) = take(4).map(number) else {
            let text = format!("MPUB failed to read message({index}) body size");
            return Ok(Many::Missing(Refusal::fatal("E_BAD_MESSAGE", text)));
        };
        let invalid = || format!("MPUB invalid message({index}) body size {size}");
        let checked = positive(size).ok_or_else(|| Refusal::fatal("E_BAD_MESSAGE", invalid()))?;
        let most = limits.msg_size;
        if checked > most {
            return Err(Refusal::fatal("E_BAD_MESSAGE", format!("MPUB message too big {size} > {most}")));
        }
        let Some(bytes) = take(checked) else {
            return Ok(Many::Missing(Refusal::fatal("E_BAD_MESSAGE", "MPUB failed to read message body")));
        };
        bodies.push(bytes);
    }
    Ok(Many::All(bodies, at))
}

/// The step for a command of which a part is missing.
fn lacking(code: &'static str, command: &str, part: &str) -> Step<'static> {
    Step::Incomplete(Some(Refusal::fatal(code, format!("{command} failed to read {part}"))))
}

/// A name of a topic or channel: 1 to 64 of letters, digits, `.`, `_` and `-`, then perhaps `#ephemeral`.
pub(super) fn valid_name(name: &[u8]) -> Option<&str> {
    let stem = name.strip_suffix(b"#ephemeral").unwrap_or(name);
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let valid = !stem.is_empty() && name.len() <= 64 && stem.iter().all(allowed);
    if valid { std::str::from_utf8(name).ok() } else { None }
}

fn escaped(letter: char, width: usize, code: u32) -> impl IntoIterator<Item = String> {
    [format!("\\{letter}{code:0width$x}")]
}

/// The name as Go's `%q` shows it, which is what nsqd's texts have.
fn quoted(name: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\u{7}' => text.push_str("\\a"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{b}' => text.push_str("\\v"),
                c if c.is_ascii_control() => text.extend(escaped('x', 2, u32::from(c))),
                c if c.is_control() => text.extend(escaped('u', 4, u32::from(c))),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.extend(escaped('x', 2, u32::from(*byte)));
        }
    }
    text.push('"');
    text
}

/// A decimal number as nsqd reads it: digits only, overflow wraps.
fn decimal(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0u64, |number, digit| {
        digit.is_ascii_digit().then(|| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
    })
}

/// Milliseconds as nanoseconds with nsqd's overflow, after which it checks the range.
fn nanoseconds(milliseconds: u64) -> i64 {
    milliseconds.cast_signed().wrapping_mul(1_000_000)
}

fn positive(number: i32) -> Option<usize> {
    usize::try_from(number).ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests;
