//! Is it text, and in which encoding. The rules are those of the `file` command, over the first 4,096 bytes.

use std::fmt;

/// So many bytes decide.
const SAMPLE: usize = 4096;

/// The encoding of a text, as far as its bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    Ascii,
    Utf7,
    Utf8,
    Utf8WithMark,
    Utf16LittleEndian,
    Utf16BigEndian,
    /// ISO 8859, any part of it.
    Latin,
    /// Such as those of DOS and of the old Macintosh.
    OtherExtendedAscii,
    Ebcdic,
    InternationalEbcdic,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::Ascii => "ASCII",
            Encoding::Utf7 => "UTF-7 Unicode",
            Encoding::Utf8 => "UTF-8 Unicode",
            Encoding::Utf8WithMark => "UTF-8 Unicode (with BOM)",
            Encoding::Utf16LittleEndian => "Little-endian UTF-16 Unicode",
            Encoding::Utf16BigEndian => "Big-endian UTF-16 Unicode",
            Encoding::Latin => "ISO-8859",
            Encoding::OtherExtendedAscii => "Non-ISO extended-ASCII",
            Encoding::Ebcdic => "EBCDIC",
            Encoding::InternationalEbcdic => "International EBCDIC",
        })
    }
}

/// `None` is binary data, or no data.
pub(crate) fn encoding(head: &[u8]) -> Option<Encoding> {
    let sample = &head[..head.len().min(SAMPLE)];
    let marked = sample.len() > 3 && sample.starts_with(&[0xEF, 0xBB, 0xBF]);
    let bytes = if marked { &sample[3..] } else { sample };
    if sample.is_empty() {
        return None;
    }
    let widest = bytes
        .iter()
        .map(|byte| class(*byte))
        .try_fold(Class::Ascii, |widest, class| (class != Class::Control).then_some(widest.max(class)));
    if widest == Some(Class::Ascii) {
        return Some(match bytes {
            _ if marked => Encoding::Utf8WithMark,
            [b'+', b'/', b'v', b'8' | b'9' | b'+' | b'/', _, ..] => Encoding::Utf7,
            _ => Encoding::Ascii,
        });
    }
    if is_utf8(bytes) {
        return Some(if marked { Encoding::Utf8WithMark } else { Encoding::Utf8 });
    }
    if let Some(encoding) = utf16(bytes) {
        return Some(encoding);
    }
    match widest {
        Some(Class::Latin) => Some(Encoding::Latin),
        Some(_) => Some(Encoding::OtherExtendedAscii),
        None => ebcdic(bytes),
    }
}

/// Where a byte occurs in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Control,
    Ascii,
    Latin,
    Extended,
}

const fn class(byte: u8) -> Class {
    match byte {
        // BEL to CR, ESC, what is printed, and NEL.
        0x07..=0x0D | 0x1B | 0x20..=0x7E | 0x85 => Class::Ascii,
        0x80..=0x9F => Class::Extended,
        0xA0..=0xFF => Class::Latin,
        _ => Class::Control,
    }
}

/// As lenient as the `file` command: up to six bytes a character, and the last may be cut off.
fn is_utf8(bytes: &[u8]) -> bool {
    let mut several = false;
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        let following = match byte {
            0x00..=0x7F if class(*byte) == Class::Ascii => continue,
            0xC0..=0xFD => byte.leading_ones() - 1,
            _ => return false,
        };
        for _ in 0..following {
            match rest.next() {
                None => return several,
                Some(0x80..=0xBF) => {}
                Some(_) => return false,
            }
        }
        several = true;
    }
    several
}

fn utf16(bytes: &[u8]) -> Option<Encoding> {
    let (units, encoding): (fn([u8; 2]) -> u16, _) = match bytes {
        [0xFF, 0xFE, ..] => (u16::from_le_bytes, Encoding::Utf16LittleEndian),
        [0xFE, 0xFF, ..] => (u16::from_be_bytes, Encoding::Utf16BigEndian),
        _ => return None,
    };
    let mut units = bytes[2..].chunks_exact(2).map(|pair| units([pair[0], pair[1]]));
    let fits = units.all(|unit| {
        unit != 0xFFFE && u8::try_from(unit).map_or(true, |byte| byte >= 0x80 || class(byte) == Class::Ascii)
    });
    fits.then_some(encoding)
}

fn ebcdic(bytes: &[u8]) -> Option<Encoding> {
    let widest = bytes.iter().map(|byte| class(EBCDIC[usize::from(*byte)])).try_fold(Class::Ascii, |widest, class| {
        matches!(class, Class::Ascii | Class::Latin).then_some(widest.max(class))
    });
    widest.map(|widest| if widest == Class::Ascii { Encoding::Ebcdic } else { Encoding::InternationalEbcdic })
}

/// EBCDIC to ISO 8859-1.
#[rustfmt::skip]
const EBCDIC: [u8; 256] = [
    0, 1, 2, 3, 156, 9, 134, 127, 151, 141, 142, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 157, 133, 8, 135, 24, 25, 146, 143, 28, 29, 30, 31,
    128, 129, 130, 131, 132, 10, 23, 27, 136, 137, 138, 139, 140, 5, 6, 7,
    144, 145, 22, 147, 148, 149, 150, 4, 152, 153, 154, 155, 20, 21, 158, 26,
    b' ', 160, 161, 162, 163, 164, 165, 166, 167, 168, 213, b'.', b'<', b'(', b'+', b'|',
    b'&', 169, 170, 171, 172, 173, 174, 175, 176, 177, b'!', b'$', b'*', b')', b';', b'~',
    b'-', b'/', 178, 179, 180, 181, 182, 183, 184, 185, 203, b',', b'%', b'_', b'>', b'?',
    186, 187, 188, 189, 190, 191, 192, 193, 194, b'`', b':', b'#', b'@', b'\'', b'=', b'"',
    195, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h', b'i', 196, 197, 198, 199, 200, 201,
    202, b'j', b'k', b'l', b'm', b'n', b'o', b'p', b'q', b'r', b'^', 204, 205, 206, 207, 208,
    209, 229, b's', b't', b'u', b'v', b'w', b'x', b'y', b'z', 210, 211, 212, b'[', 214, 215,
    216, 217, 218, 219, 220, 221, 222, 223, 224, 225, 226, 227, 228, b']', 230, 231,
    b'{', b'A', b'B', b'C', b'D', b'E', b'F', b'G', b'H', b'I', 232, 233, 234, 235, 236, 237,
    b'}', b'J', b'K', b'L', b'M', b'N', b'O', b'P', b'Q', b'R', 238, 239, 240, 241, 242, 243,
    b'\\', 159, b'S', b'T', b'U', b'V', b'W', b'X', b'Y', b'Z', 244, 245, 246, 247, 248, 249,
    b'0', b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8', b'9', 250, 251, 252, 253, 254, 255,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_is_told_by_its_bytes() {
        let long = [b'a'; SAMPLE];
        let beyond = [&long[..], &[0]].concat();
        let table: [(&[u8], Option<Encoding>); 19] = [
            (b"", None),
            (b"a", Some(Encoding::Ascii)),
            (b"a\x1b[0m\x07\r\n", Some(Encoding::Ascii)),
            (b"a\0", None),
            (&beyond, Some(Encoding::Ascii)),
            (b"+/v8-a", Some(Encoding::Utf7)),
            (b"+/v8", Some(Encoding::Ascii)),
            ("ä".as_bytes(), Some(Encoding::Utf8)),
            (b"\xC3\xA4\xC3", Some(Encoding::Utf8)),
            (b"\xEF\xBB\xBFa", Some(Encoding::Utf8WithMark)),
            (b"\xEF\xBB\xBF", Some(Encoding::Utf8)),
            (b"\xFF\xFEa\0", Some(Encoding::Utf16LittleEndian)),
            (b"\xFE\xFF\0a", Some(Encoding::Utf16BigEndian)),
            (b"\xFF\xFE\x01\0", None),
            (b"a\xE4", Some(Encoding::Latin)),
            (b"a\x84", Some(Encoding::OtherExtendedAscii)),
            (b"a\x85", Some(Encoding::Ascii)),
            (b"\xC8\xC5\x15\x06", None),
            (b"\xC8\xC5\x25\x05", Some(Encoding::Ebcdic)),
        ];
        for (bytes, encoding) in table {
            assert_eq!(super::encoding(bytes), encoding, "{bytes:x?}");
        }
    }
}
