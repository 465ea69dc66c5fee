//! `bag-info.txt` of a restored bag: four values say what is restored and by whom, the old ones go to the end (03 §2.6). All other lines
//! stay as they are, whatever they hold (D14).

use model::Time;

const SOFTWARE: &str = "APTrust preservation-services restoration bagger";
const UNITS: [&str; 5] = ["Bytes", "KB", "MB", "GB", "TB"];

/// A tag's first line, and what follows it indented.
struct Field<'t> {
    /// Before the first colon.
    label: &'t [u8],
    lines: Vec<&'t [u8]>,
}

/// The new contents. Sizes are in bytes and of the payload.
pub(super) fn bag_info(old: &[u8], size: i64, count: i64, now: Time) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut originals = Vec::new();
    for field in fields(old) {
        let label = String::from_utf8_lossy(field.label);
        let value = match label.as_ref() {
            "Payload-Oxum" => format!("{size}.{count}"),
            "Bagging-Date" => now.to_whole_second().to_string(),
            "Bag-Size" => in_units(size),
            "Bagging-Software" => SOFTWARE.to_owned(),
            _ => {
                lines.extend(field.lines.into_iter().map(<[u8]>::to_vec));
                continue;
            }
        };
        let end = if field.lines[0].ends_with(b"\r") { "\r" } else { "" };
        lines.push(format!("{label}: {value}{end}").into_bytes());
        originals.push([b"Original-", field.label, b": ", &field.value(), end.as_bytes()].concat());
    }
    while lines.last().is_some_and(|line| line.trim_ascii().is_empty()) {
        lines.pop();
    }
    lines.extend(originals);
    lines.join(&b'\n')
}

fn fields(text: &[u8]) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let is_indented = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        match fields.last_mut() {
            Some(field) if is_indented && !field.label.is_empty() => field.lines.push(line),
            _ => {
                let label = line.iter().position(|byte| *byte == b':').map_or(&b""[..], |colon| &line[..colon]);
                fields.push(Field { label: label.trim_ascii(), lines: vec![line] });
            }
        }
    }
    fields
}

impl Field<'_> {
    /// In one line.
    fn value(&self) -> Vec<u8> {
        let first =
            self.lines[0].iter().position(|byte| *byte == b':').map_or(&b""[..], |colon| &self.lines[0][colon + 1..]);
        let rest = self.lines[1..].iter().copied();
        let parts: Vec<&[u8]> = std::iter::once(first).chain(rest).map(<[u8]>::trim_ascii).collect();
        parts.join(&b' ')
    }
}

/// `336.91 KB`
#[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn in_units(bytes: i64) -> String {
    let (mut amount, mut unit) = (bytes as f64, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.2} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(old: &str) -> String {
        let now = "2026-01-02T03:04:05.678Z".parse().unwrap();
        String::from_utf8(bag_info(old.as_bytes(), 345_000, 12, now)).unwrap()
    }

    #[test]
    fn four_values_are_new_and_the_old_ones_follow() {
        let old = "Payload-Oxum: 1234.5\nBagging-Date: 2022-04-26\nBagging-Software: The Legend of Baggy Pants\n\
                   Bag-Size: 1.04 K\nSpongebob: Squarepants\n";
        let expected = "Payload-Oxum: 345000.12\nBagging-Date: 2026-01-02T03:04:05Z\n\
                        Bagging-Software: APTrust preservation-services restoration bagger\nBag-Size: 336.91 KB\n\
                        Spongebob: Squarepants\nOriginal-Payload-Oxum: 1234.5\nOriginal-Bagging-Date: 2022-04-26\n\
                        Original-Bagging-Software: The Legend of Baggy Pants\nOriginal-Bag-Size: 1.04 K";
        assert_eq!(rewritten(old), expected);
        assert_eq!(expected.len(), 311);
    }

    #[test]
    fn defect_03_d14_no_line_is_lost_in_the_rewriting() {
        let long = format!("Long: {}", "x".repeat(100_000));
        let old = format!(
            "{long}\r\nMy Label: a value\r\nWhen:2020-01-01T15:22\r\nBagging-Date:2020-01-01T15:22\r\n\
             External-Description: one\r\n  two:\r\n\ttwo\r\nno tag at all\r\n"
        );
        let new = rewritten(&old);
        assert!(new.starts_with(&format!("{long}\r\nMy Label: a value\r\nWhen:2020-01-01T15:22\r\n")), "{new:.300}");
        assert!(new.contains("External-Description: one\r\n  two:\r\n\ttwo\r\nno tag at all\r\n"));
        assert!(new.contains("\r\nBagging-Date: 2026-01-02T03:04:05Z\r\n"));
        assert!(new.ends_with("Original-Bagging-Date: 2020-01-01T15:22\r"));
        let bytes = bag_info(b"A: \xff\xfe\nBag-Size: 1\n  KB", 1, 1, Time::now());
        assert_eq!(bytes, b"A: \xff\xfe\nBag-Size: 1.00 Bytes\nOriginal-Bag-Size: 1 KB");
        assert_eq!(rewritten(""), "");
    }
}
