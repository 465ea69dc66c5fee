//! Reads the notation of byte sequences in PRONOM's signature files, as in `4D5A{0-16}[00:1F]'PE'(00|0A)[!&01]??*`.

use super::CompileError;
use crate::pattern::{ByteSet, Pattern};
use crate::signature::Span as Reach;

/// The frames of one sequence, each with the distance from the one before, and what is left open behind the last.
pub(super) fn parse(text: &str) -> Result<Vec<(Reach, Pattern)>, CompileError> {
    let mut reader = Reader { rest: text, text };
    let mut frames = Vec::new();
    let mut reach = Reach { min: 0, max: Some(0) };
    while let Some(c) = reader.peek() {
        match c {
            c if c.is_whitespace() => reader.skip(1),
            '[' | '(' => {
                reader.skip(1);
                frames.push((reach, reader.group(if c == '[' { ']' } else { ')' })?));
                reach = Reach { min: 0, max: Some(0) };
            }
            '{' => {
                reader.skip(1);
                reach = reach.and(reader.distance()?);
            }
            '?' => {
                reader.expect("??")?;
                reach = reach.and(Reach { min: 1, max: Some(1) });
            }
            '*' => {
                reader.skip(1);
                reach.max = None;
            }
            _ => {
                frames.push((reach, Pattern::Bytes(reader.bytes(Spaces::Between)?)));
                reach = Reach { min: 0, max: Some(0) };
            }
        }
    }
    if frames.is_empty() {
        return Err(reader.error("it is empty"));
    }
    if reach != (Reach { min: 0, max: Some(0) }) {
        return Err(reader.error("it ends with a gap"));
    }
    Ok(frames)
}

struct Reader<'a> {
    rest: &'a str,
    text: &'a str,
}

/// Whether blanks may stand between hexadecimal numbers; in a group they part choices.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spaces {
    Between,
    Part,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Only over ASCII.
    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn error(&self, what: &str) -> CompileError {
        let at = self.text.len() - self.rest.len();
        CompileError::Sequence { sequence: self.text.to_owned(), at, what: what.to_owned() }
    }

    fn expect(&mut self, wanted: &str) -> Result<(), CompileError> {
        self.rest = self.rest.strip_prefix(wanted).ok_or_else(|| self.error(&format!("`{wanted}` is missing")))?;
        Ok(())
    }

    /// What stands before `end`, which is skipped.
    fn until(&mut self, end: char) -> Result<&'a str, CompileError> {
        let (before, behind) = self.rest.split_once(end).ok_or_else(|| self.error(&format!("no `{end}` follows")))?;
        self.rest = behind;
        Ok(before)
    }

    /// `n}`, `n-m}` or `n-*}`.
    fn distance(&mut self) -> Result<Reach, CompileError> {
        let text = self.until('}')?;
        let number = |text: &str| text.trim().parse().map_err(|_| self.error("a distance is not a number"));
        Ok(match text.split_once('-') {
            None => Reach { min: number(text)?, max: Some(number(text)?) },
            Some((min, "*")) => Reach { min: number(min)?, max: None },
            Some((min, max)) => Reach { min: number(min)?, max: Some(number(max)?) },
        })
    }

    /// Hexadecimal numbers and quoted texts.
    fn bytes(&mut self, spaces: Spaces) -> Result<Vec<u8>, CompileError> {
        let mut bytes = Vec::new();
        while let Some(c) = self.peek() {
            if c == '\'' {
                self.skip(1);
                bytes.extend_from_slice(self.until('\'')?.as_bytes());
            } else if c.is_whitespace() && spaces == Spaces::Between {
                self.skip(c.len_utf8());
            } else if c.is_ascii_hexdigit() {
                let pair = self.rest.get(..2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
                bytes.push(pair.ok_or_else(|| self.error("half a hexadecimal number"))?);
                self.skip(2);
            } else {
                break;
            }
        }
        if bytes.is_empty() { Err(self.error("bytes are missing")) } else { Ok(bytes) }
    }

    /// The inside of `[…]` or `(…)`, with the end.
    fn group(&mut self, end: char) -> Result<Pattern, CompileError> {
        let mut choices = Vec::new();
        let mut list = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.error(&format!("no `{end}` follows"))),
                Some(c) if c == end => {
                    self.skip(1);
                    break;
                }
                Some(c) if c == '|' || c.is_whitespace() => {
                    self.skip(c.len_utf8());
                    choices.extend(one(&mut list));
                }
                Some(c @ ('[' | '(')) => {
                    self.skip(1);
                    list.push(self.group(if c == '[' { ']' } else { ')' })?);
                }
                Some(_) => list.push(self.member()?),
            }
        }
        choices.extend(one(&mut list));
        match choices.len() {
            0 => Err(self.error("a group is empty")),
            1 => Ok(choices.remove(0)),
            _ => Ok(Pattern::Choice(choices)),
        }
    }

    /// `41`, `41:5A`, `&01`, `~03`, each perhaps with `!` before it.
    fn member(&mut self) -> Result<Pattern, CompileError> {
        let negated = self.peek() == Some('!');
        if negated {
            self.skip(1);
        }
        let pattern = match self.peek() {
            Some('&') => {
                self.skip(1);
                let mask = self.mask()?;
                Pattern::Set(ByteSet::of(|byte| byte & mask == mask))
            }
            Some('~') => {
                self.skip(1);
                let mask = self.mask()?;
                Pattern::Set(ByteSet::of(|byte| byte & mask != 0))
            }
            _ => {
                let from = self.bytes(Spaces::Part)?;
                if matches!(self.peek(), Some(':' | '-')) {
                    self.skip(1);
                    let to = self.bytes(Spaces::Part)?;
                    match (from.as_slice(), to.as_slice()) {
                        (&[from], &[to]) => Pattern::Set(ByteSet::of(|byte| (from..=to).contains(&byte))),
                        _ if from.len() == to.len() => Pattern::Range(from, to),
                        _ => return Err(self.error("the bounds of a range have different lengths")),
                    }
                } else {
                    Pattern::Bytes(from)
                }
            }
        };
        Ok(match pattern {
            pattern if !negated => pattern,
            Pattern::Set(set) => Pattern::Set(ByteSet::of(|byte| !set.has(byte))),
            Pattern::Bytes(bytes) if bytes.len() == 1 => Pattern::Set(ByteSet::of(|byte| byte != bytes[0])),
            pattern => Pattern::Not(Box::new(pattern)),
        })
    }

    fn mask(&mut self) -> Result<u8, CompileError> {
        match self.bytes(Spaces::Part)?.as_slice() {
            [mask] => Ok(*mask),
            _ => Err(self.error("a mask is not one byte")),
        }
    }
}

/// What has been gathered, as one pattern.
fn one(list: &mut Vec<Pattern>) -> Option<Pattern> {
    match list.len() {
        0 => None,
        1 => list.pop(),
        _ => Some(Pattern::List(std::mem::take(list))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(min: u32, max: Option<u32>, pattern: Pattern) -> (Reach, Pattern) {
        (Reach { min, max }, pattern)
    }

    fn bytes(bytes: &[u8]) -> Pattern {
        Pattern::Bytes(bytes.to_vec())
    }

    #[test]
    fn the_notation_becomes_frames() {
        let set = |belongs: fn(u8) -> bool| Pattern::Set(ByteSet::of(belongs));
        let table: [(&str, Vec<(Reach, Pattern)>); 12] = [
            ("4D5a 00", vec![frame(0, Some(0), bytes(b"MZ\0"))]),
            ("'PK'03", vec![frame(0, Some(0), bytes(b"PK\x03"))]),
            ("41{4}42", vec![frame(0, Some(0), bytes(b"A")), frame(4, Some(4), bytes(b"B"))]),
            ("41{2-5}42", vec![frame(0, Some(0), bytes(b"A")), frame(2, Some(5), bytes(b"B"))]),
            ("41{3-*}42", vec![frame(0, Some(0), bytes(b"A")), frame(3, None, bytes(b"B"))]),
            ("41*42", vec![frame(0, Some(0), bytes(b"A")), frame(0, None, bytes(b"B"))]),
            ("??41????42", vec![frame(1, Some(1), bytes(b"A")), frame(2, Some(2), bytes(b"B"))]),
            ("[41:43]", vec![frame(0, Some(0), set(|byte| (0x41..=0x43).contains(&byte)))]),
            ("['6'-'7']", vec![frame(0, Some(0), set(|byte| byte == b'6' || byte == b'7'))]),
            ("[!00]", vec![frame(0, Some(0), set(|byte| byte != 0))]),
            ("[!&01]", vec![frame(0, Some(0), set(|byte| byte & 1 == 0))]),
            ("(4142|[43:44]45)", {
                let list = Pattern::List(vec![set(|byte| byte == 0x43 || byte == 0x44), bytes(b"E")]);
                vec![frame(0, Some(0), Pattern::Choice(vec![bytes(b"AB"), list]))]
            }),
        ];
        for (text, frames) in table {
            assert_eq!(parse(text).unwrap(), frames, "{text}");
        }
    }

    #[test]
    fn what_is_not_the_notation_is_refused_with_its_place() {
        for (text, message) in [
            ("", "it is empty"),
            ("4", "half a hexadecimal number"),
            ("41[", "no `]` follows"),
            ("41[]", "a group is empty"),
            ("41{x}42", "a distance is not a number"),
            ("41{2", "no `}` follows"),
            ("41?42", "`??` is missing"),
            ("41'", "no `'` follows"),
            ("[41:4243]", "different lengths"),
            ("41*", "it ends with a gap"),
            ("41§", "bytes are missing"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
