//! Identifiers of objects and files: how they are made of an institution, a bag's name and a path, and taken apart.

/// The name of a bag: the name of its tar file without `.tar` and without the suffix of a part, `.b<n>.of<m>`.
pub fn clean_bag_name(tar_name: &str) -> &str {
    split_bag_name(tar_name).0
}

/// Which part of a bag in several tar files this is: number and count.
pub fn part(tar_name: &str) -> Option<(u32, u32)> {
    let (number, count) = split_bag_name(tar_name).1?;
    Some((number.parse().ok()?, count.parse().ok()?))
}

fn split_bag_name(tar_name: &str) -> (&str, Option<(&str, &str)>) {
    let name = tar_name.strip_suffix(".tar").unwrap_or(tar_name);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.rsplit_once(".of")
        .filter(|(_, count)| digits(count))
        .and_then(|(rest, count)| Some((rest.rsplit_once(".b")?, count)))
        .filter(|((_, number), _)| digits(number))
        .map_or((name, None), |((bag, number), count)| (bag, Some((number, count))))
}

/// `<institution>/<bag name>` for a tar file.
pub fn of_object(institution: &str, tar_name: &str) -> String {
    format!("{institution}/{}", clean_bag_name(tar_name))
}

/// `example.edu` of `example.edu/bag/data/file.txt`.
pub fn institution(identifier: &str) -> &str {
    identifier.split('/').next().unwrap_or_default()
}

/// `example.edu/bag` of `example.edu/bag/data/file.txt`.
pub fn object(identifier: &str) -> Option<&str> {
    let slash = identifier.find('/')?;
    let rest = &identifier[slash + 1..];
    let end = rest.find('/').unwrap_or(rest.len());
    Some(&identifier[..=slash + end])
}

/// `bag/data/file.txt` of `example.edu/bag/data/file.txt`, and `bag` of `example.edu/bag`.
pub fn without_institution(identifier: &str) -> Option<&str> {
    identifier.split_once('/').map(|(_, rest)| rest)
}

/// `data/file.txt` of `example.edu/bag/data/file.txt`.
pub fn path_in_bag(identifier: &str) -> Option<&str> {
    without_institution(identifier)?.split_once('/').map(|(_, path)| path)
}

/// Whether it holds a character that file names must not have: a control character, the no-break space U+00A0, which
/// S3 refuses, or the six characters `\u00XX` that some file systems write in place of a control character.
pub fn has_control_character(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || c == '\u{a0}') || has_escaped_control(text)
}

fn has_escaped_control(text: &str) -> bool {
    text.as_bytes().windows(6).any(|window| match window {
        [b'\\', b'u' | b'U', b'0', b'0', high, low] => match high {
            b'0' | b'1' | b'8' | b'9' => low.is_ascii_hexdigit(),
            b'7' => matches!(low, b'f' | b'F'),
            _ => false,
        },
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bags_name_loses_tar_and_the_parts_suffix() {
        for name in ["some.file.b001.of200.tar", "some.file.b1.of2.tar", "some.file.tar", "some.file"] {
            assert_eq!(clean_bag_name(name), "some.file", "{name}");
        }
        for (name, clean) in [
            ("a.tar.tar", "a.tar"),
            ("a.b1.of2", "a"),
            ("a.b.of2.tar", "a.b.of2"),
            ("a.b1.of.tar", "a.b1.of"),
            ("a.b1.of2.TAR", "a.b1.of2.TAR"),
            ("a.b1.of2.b3.of4.tar", "a.b1.of2"),
            ("a.b1.ofx.of2.tar", "a.b1.ofx.of2"),
            ("a.bx1.of2.tar", "a.bx1.of2"),
            (".tar", ""),
            ("", ""),
        ] {
            assert_eq!(clean_bag_name(name), clean, "{name}");
        }
    }

    #[test]
    fn parts_are_numbered() {
        assert_eq!(part("some.file.b002.of200.tar"), Some((2, 200)));
        assert_eq!(part("some.file.tar"), None);
        assert_eq!(part("x.b99999999999.of2.tar"), None);
    }

    #[test]
    fn identifiers_are_taken_apart() {
        let file = "example.edu/bag/data/file.txt";
        assert_eq!(institution(file), "example.edu");
        assert_eq!(object(file), Some("example.edu/bag"));
        assert_eq!(without_institution(file), Some("bag/data/file.txt"));
        assert_eq!(path_in_bag(file), Some("data/file.txt"));
        let bag = "example.edu/bag";
        assert_eq!((object(bag), without_institution(bag), path_in_bag(bag)), (Some(bag), Some("bag"), None));
        assert_eq!((institution("x"), object("x"), without_institution("x")), ("x", None, None));
        assert_eq!(of_object("example.edu", "bag.b1.of2.tar"), bag);
    }

    #[test]
    fn control_characters_and_their_escaped_forms_are_found() {
        for text in
            ["a\u{0}", "\u{1f}", "\u{7f}", "\u{9f}b", "\u{a0}", r"data\u007f.txt", r"x\U009Fy", r"\u000a", r"\u0012"]
        {
            assert!(has_control_character(text), "{text:?}");
        }
        for text in ["", "a b", "é\u{2028}", r"\u0020", r"\u007e", r"\u00a0", r"\u00", "u0001", r"\x0001"] {
            assert!(!has_control_character(text), "{text:?}");
        }
    }
}
