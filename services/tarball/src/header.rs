//! One header block: ustar, GNU or V7. Only what the service looks at is read; owners and modes may be anything.

use time::OffsetDateTime;

use crate::BLOCK;
use crate::error::Fault;
use crate::pax;

pub(crate) type Block = [u8; BLOCK];

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    HardLink,
    SymbolicLink,
    CharacterDevice,
    BlockDevice,
    Fifo,
    /// Type `7`.
    Contiguous,
    /// Type `S`: sparse in the old GNU format. It is not read, and nothing after it can be.
    OldSparse,
    /// Another type, by its byte.
    Unknown(u8),
}

/// What a header block says by itself.
#[derive(Debug)]
pub(crate) struct RawHeader {
    pub(crate) type_flag: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) size: u64,
    /// `None` if it cannot be read, which is no reason to refuse a bag (J 71).
    pub(crate) mtime: Option<OffsetDateTime>,
}

impl Kind {
    /// A V7 header calls a folder a file whose name ends in a slash.
    pub(crate) fn of(type_flag: u8, name: &[u8]) -> Self {
        match type_flag {
            0 if name.ends_with(b"/") => Self::Folder,
            0 | b'0' => Self::File,
            b'1' => Self::HardLink,
            b'2' => Self::SymbolicLink,
            b'3' => Self::CharacterDevice,
            b'4' => Self::BlockDevice,
            b'5' => Self::Folder,
            b'6' => Self::Fifo,
            b'7' => Self::Contiguous,
            b'S' => Self::OldSparse,
            other => Self::Unknown(other),
        }
    }

    /// Whether contents follow the header. Where not, a size in the header means something else, or nothing.
    pub(crate) fn has_contents(self) -> bool {
        matches!(self, Self::File | Self::Contiguous | Self::OldSparse | Self::Unknown(_))
    }
}

impl RawHeader {
    pub(crate) fn read(block: &Block) -> Result<Self, Fault> {
        if !check_sum_is_right(block) {
            return Err(Fault::CheckSum);
        }
        let size = number(&block[124..136]).and_then(|size| u64::try_from(size).ok());
        Ok(Self {
            type_flag: block[156],
            name: name(block),
            size: size.filter(|size| i64::try_from(*size).is_ok()).ok_or(Fault::Size)?,
            mtime: number(&block[136..148]).map(|seconds| pax::nearest(seconds, 0)),
        })
    }
}

/// The sum of all bytes, its own field taken for blanks. Some old tars added signed bytes.
fn check_sum_is_right(block: &Block) -> bool {
    let bytes = || block[..148].iter().chain(b"        ").chain(&block[156..]);
    let unsigned: i128 = bytes().map(|byte| i128::from(*byte)).sum();
    let signed: i128 = bytes().map(|byte| i128::from(byte.cast_signed())).sum();
    number(&block[148..156]).is_some_and(|sum| sum == unsigned || sum == signed)
}

/// GNU's headers have other things where ustar's have the first part of a long name, star's have them in the second half of it.
fn name(block: &Block) -> Vec<u8> {
    let prefix: &[u8] = match &block[257..263] {
        b"ustar\0" if &block[508..512] == b"tar\0" => text(&block[345..476]),
        b"ustar\0" => text(&block[345..500]),
        _ => b"",
    };
    let name = text(&block[..100]);
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// Bytes up to the first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between blanks and NULs, or a two's complement in base 256 whose first bit is set. Nothing at all is 0.
fn number(field: &[u8]) -> Option<i128> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            // The mark is not part of the number; the bit after it is the sign.
            let sign_extended = i128::from(((first << 1).cast_signed()) >> 1);
            Some(rest.iter().fold(sign_extended, |number, byte| number << 8 | i128::from(*byte)))
        }
        _ => {
            let blank = |byte: &u8| matches!(byte, b' ' | 0);
            let digits =
                text(&field[field.iter().position(|byte| !blank(byte)).unwrap_or(field.len())..]).trim_ascii_end();
            let add = |number, digit: &u8| matches!(digit, b'0'..=b'7').then(|| number << 3 | i128::from(digit - b'0'));
            digits.iter().try_fold(0, add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        let cases: [(&[u8], Option<i128>); 14] = [
            (b"00000000644\0", Some(0o644)),
            (b"   644 \0\0\0\0\0", Some(0o644)),
            (b"\0 644\0rubbish", Some(0o644)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"\0\0\0\0", Some(0)),
            (b"    ", Some(0)),
            (b"", Some(0)),
            (b"00000000648\0", None),
            (b"-1\0", None),
            (b"6 4\0", None),
            (b"\x80\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some((1 << 94) - 1)),
            (b"\xc0\0\0\0\0\0\0\0\0\0\0\0", Some(-(1 << 94))),
        ];
        for (field, expected) in cases {
            assert_eq!(number(field), expected, "{}", field.escape_ascii());
        }
    }
}
