//! Paths as manifests write them: the ways to read them, which lead out of the bag, which cannot be kept.

use std::borrow::Cow;

/// How a path in a manifest was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As it stands.
    Literal,
    /// Without a leading `*` (as `md5sum --binary` writes it) or `./`.
    Stripped,
    /// With `%0A`, `%0D` and `%25` decoded: RFC 8493, section 2.1.3.
    Decoded,
    /// Both.
    StrippedAndDecoded,
}

/// Which reading is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// BagIt up to 0.97, and APTrust.
    Literal,
    /// BagIt 1.0.
    Decoded,
}

/// The ways to read a path of a manifest, in the order in which the files of the bag are to be asked for them. Most paths
/// have one.
pub fn readings(path: &[u8], first: First) -> impl Iterator<Item = (Reading, Cow<'_, [u8]>)> {
    let stripped = path.strip_prefix(b"*").or_else(|| path.strip_prefix(b"./"));
    let literal = [Some((Reading::Literal, path.into())), stripped.map(|path| (Reading::Stripped, path.into()))];
    let decoded = [
        decode(path).map(|path| (Reading::Decoded, path.into())),
        stripped.and_then(decode).map(|path| (Reading::StrippedAndDecoded, path.into())),
    ];
    let ordered = match first {
        First::Literal => [literal, decoded],
        First::Decoded => [decoded, literal],
    };
    ordered.into_iter().flatten().flatten()
}

/// `None` if there is nothing to decode.
fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let mut rest = path;
    let mut decoded = Vec::new();
    while let Some(at) = memchr::memchr(b'%', rest) {
        let byte = match rest[at + 1..] {
            [b'0', b'a' | b'A', ..] => b'\n',
            [b'0', b'd' | b'D', ..] => b'\r',
            [b'2', b'5', ..] => b'%',
            _ => {
                decoded.extend_from_slice(&rest[..=at]);
                rest = &rest[at + 1..];
                continue;
            }
        };
        decoded.extend_from_slice(&rest[..at]);
        decoded.push(byte);
        rest = &rest[at + 3..];
    }
    decoded.extend_from_slice(rest);
    (decoded.len() < path.len()).then_some(decoded)
}

/// Whether a path leads, or may lead on some system, to something outside the bag: RFC 8493, section 5.1. It is absolute,
/// of a user's home (`~`), of a Windows drive or server, begins with a variable of Windows, or holds a part `..`.
pub fn leads_out(path: &[u8]) -> bool {
    let mut parts = path.split(|byte| matches!(byte, b'/' | b'\\'));
    let is_up = parts.clone().any(|part| part == b"..");
    let first = parts.next().unwrap_or_default();
    // Alone it would be a file of that name.
    let is_folder = parts.next().is_some();
    let is_variable = first.len() > 2 && first.starts_with(b"%") && first.ends_with(b"%");
    let is_drive = matches!(first, [letter, b':', ..] if letter.is_ascii_alphabetic());
    is_up || first.is_empty() || is_folder && (first.starts_with(b"~") || is_variable || is_drive)
}

/// Whether APTrust refuses a name: it holds a control character or a no-break space, which S3 would not keep, or the text
/// `\u00XX` that some file systems write in place of a control character.
pub fn is_unprintable(name: &str) -> bool {
    let escaped = |rest: &str| {
        let Some(code) = rest.strip_prefix(['u', 'U']).and_then(|code| code.get(..4)) else { return false };
        code.bytes().all(|byte| byte.is_ascii_hexdigit())
            && u8::from_str_radix(code, 16).is_ok_and(|code| code < 0x20 || (0x7f..0xa0).contains(&code))
    };
    name.contains(|c: char| c.is_control() || c == '\u{a0}') || name.split('\\').skip(1).any(escaped)
}

/// Whether an operating system leaves such files about, so that they change or go without anybody's will.
pub(crate) fn is_of_the_system(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    matches!(name, ".DS_Store" | "Thumbs.db" | "desktop.ini" | "Desktop.ini") || name.starts_with("._")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(path: &str, first: First) -> Vec<String> {
        readings(path.as_bytes(), first).map(|(_, path)| String::from_utf8_lossy(&path).into_owned()).collect()
    }

    #[test]
    fn a_path_is_read_literally_then_stripped_then_decoded() {
        assert_eq!(all("data/a", First::Literal), ["data/a"]);
        assert_eq!(all("*data/a", First::Literal), ["*data/a", "data/a"]);
        assert_eq!(all("./data/a", First::Literal), ["./data/a", "data/a"]);
        assert_eq!(all("**data/a", First::Literal)[1], "*data/a");
        assert_eq!(all("data/100%25", First::Literal), ["data/100%25", "data/100%"]);
        assert_eq!(all("*data/%0a%0D", First::Literal), ["*data/%0a%0D", "data/%0a%0D", "*data/\n\r", "data/\n\r"]);
        assert_eq!(all("data/100%25", First::Decoded), ["data/100%", "data/100%25"]);
        assert_eq!(all("data/%7E%2", First::Decoded), ["data/%7E%2"]);
        assert_eq!(all("%%250A%", First::Decoded), ["%%0A%", "%%250A%"]);
    }

    #[test]
    fn paths_that_lead_out_are_known_on_every_system() {
        for path in [
            "/tmp/foo",
            "~/foo",
            "~root/foo",
            "../x",
            "data/../../x",
            "data/..",
            r"data\..\x",
            r"C:\Windows\x",
            "c:/x",
            r"\\?\UNC\server\x",
            r"%HomeDrive%\x",
            "",
        ] {
            assert!(leads_out(path.as_bytes()), "{path}");
        }
        for path in
            ["data/a", "data/..a", "data/a~", "data/C:/x", "./data/a", "%test2.txt", "data//a", "%7Edir/%", "~lock.txt"]
        {
            assert!(!leads_out(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn control_characters_also_count_in_their_escaped_form() {
        for name in [
            "a\u{0}",
            "\t",
            "\u{1f}",
            "\u{7f}",
            "\u{9f}b",
            "\u{a0}",
            r"data\u007f.txt",
            r"x\U009Fy",
            r"\u000a",
            r"\\u0012",
        ] {
            assert!(is_unprintable(name), "{name:?}");
        }
        for name in [
            "",
            "a b",
            "é\u{2028}\u{202f}",
            "..",
            r"\u0020",
            r"\u007e",
            r"\u00a0",
            r"\u00",
            r"\u+01a",
            r"\u01",
            "u0001",
            r"\u2028",
            r"\u001é",
        ] {
            assert!(!is_unprintable(name), "{name:?}");
        }
    }

    #[test]
    fn files_of_systems_are_known_by_name() {
        for path in ["data/.DS_Store", "Thumbs.db", "data/a/._x"] {
            assert!(is_of_the_system(path), "{path}");
        }
        assert!(!is_of_the_system("data/._x/file") && !is_of_the_system("data/_x"));
    }
}
