//! The records of the journal and their bytes: length and checksum, then a tag and the fields.

use super::image::Stored;

/// Bytes before the payload of a record.
pub(super) const HEAD: usize = 8;

/// One change.
#[derive(Debug)]
pub(in super::super) enum Record<'a> {
    /// The topic exists, paused or not.
    Topic {
        topic: &'a str,
        is_paused: bool,
    },
    /// The channel exists, paused or not.
    Channel {
        topic: &'a str,
        channel: &'a str,
        is_paused: bool,
    },
    DropTopic {
        topic: &'a str,
    },
    DropChannel {
        topic: &'a str,
        channel: &'a str,
    },
    EmptyTopic {
        topic: &'a str,
    },
    EmptyChannel {
        topic: &'a str,
        channel: &'a str,
    },
    /// A message came to the topic; `due` is its delay, in nanoseconds.
    Publish {
        topic: &'a str,
        message: Stored,
    },
    /// A message stands in the channel; `due` is the time of the wall clock.
    Held {
        topic: &'a str,
        channel: &'a str,
        message: Stored,
    },
    Finish {
        topic: &'a str,
        channel: &'a str,
        id: u64,
    },
    Requeue {
        topic: &'a str,
        channel: &'a str,
        id: u64,
        attempts: u16,
        due: i64,
    },
}

impl<'a> Record<'a> {
    /// Appends the record with its head.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + HEAD, 0);
        match self {
            Self::Topic { topic, is_paused } => names(out, 0, topic, "").push(u8::from(*is_paused)),
            Self::Channel { topic, channel, is_paused } => names(out, 1, topic, channel).push(u8::from(*is_paused)),
            Self::DropTopic { topic } => drop(names(out, 2, topic, "")),
            Self::DropChannel { topic, channel } => drop(names(out, 3, topic, channel)),
            Self::EmptyTopic { topic } => drop(names(out, 4, topic, "")),
            Self::EmptyChannel { topic, channel } => drop(names(out, 5, topic, channel)),
            Self::Publish { topic, message } => body(names(out, 6, topic, ""), message),
            Self::Held { topic, channel, message } => body(names(out, 7, topic, channel), message),
            Self::Finish { topic, channel, id } => names(out, 8, topic, channel).extend(id.to_be_bytes()),
            Self::Requeue { topic, channel, id, attempts, due } => {
                let out = names(out, 9, topic, channel);
                out.extend(id.to_be_bytes());
                out.extend(attempts.to_be_bytes());
                out.extend(due.to_be_bytes());
            }
        }
        let size = u32::try_from(out.len() - start - HEAD).unwrap_or(u32::MAX);
        let checksum = checksum(&out[start + HEAD..]);
        out[start..start + 4].copy_from_slice(&size.to_be_bytes());
        out[start + 4..start + HEAD].copy_from_slice(&checksum.to_be_bytes());
    }

    /// None if these are not the bytes of a record.
    pub(super) fn decode(payload: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let [tag] = fields.array()?;
        let (topic, channel) = (fields.name()?, fields.name()?);
        Some(match tag {
            0 => Self::Topic { topic, is_paused: fields.array()? == [1] },
            1 => Self::Channel { topic, channel, is_paused: fields.array()? == [1] },
            2 => Self::DropTopic { topic },
            3 => Self::DropChannel { topic, channel },
            4 => Self::EmptyTopic { topic },
            5 => Self::EmptyChannel { topic, channel },
            6 => Self::Publish { topic, message: fields.message()? },
            7 => Self::Held { topic, channel, message: fields.message()? },
            8 => Self::Finish { topic, channel, id: u64::from_be_bytes(fields.array()?) },
            9 => Self::Requeue {
                topic,
                channel,
                id: u64::from_be_bytes(fields.array()?),
                attempts: u16::from_be_bytes(fields.array()?),
                due: i64::from_be_bytes(fields.array()?),
            },
            _ => return None,
        })
    }
}

/// Length and checksum of the payload.
pub(super) fn head(bytes: [u8; HEAD]) -> (usize, u32) {
    let [size, checksum] =
        [0, 4].map(|at| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    (usize::try_from(size).unwrap_or(usize::MAX), checksum)
}

/// FNV-1a: enough to tell a record from what a crash left.
pub(super) fn checksum(payload: &[u8]) -> u32 {
    payload.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn names<'o>(out: &'o mut Vec<u8>, tag: u8, topic: &str, channel: &str) -> &'o mut Vec<u8> {
    out.push(tag);
    for name in [topic, channel] {
        // Names have at most 64 characters.
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name.as_bytes());
    }
    out
}

fn body(out: &mut Vec<u8>, message: &Stored) {
    out.extend(message.id.to_be_bytes());
    out.extend(message.timestamp.to_be_bytes());
    out.extend(message.attempts.to_be_bytes());
    out.extend(message.due.to_be_bytes());
    out.extend_from_slice(&message.body);
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn name(&mut self) -> Option<&'a str> {
        let [length] = self.array()?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn message(&mut self) -> Option<Stored> {
        Some(Stored {
            id: u64::from_be_bytes(self.array()?),
            timestamp: i64::from_be_bytes(self.array()?),
            attempts: u16::from_be_bytes(self.array()?),
            due: i64::from_be_bytes(self.array()?),
            body: std::mem::take(&mut self.0).into(),
        })
    }
}
