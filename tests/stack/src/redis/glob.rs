//! Redis's patterns, for KEYS, the scans, CONFIG GET and PSUBSCRIBE.

/// Whether the whole text fits the pattern: `*`, `?`, `[a-z]`, `[^a]`, and `\` before what stands for itself.
///
/// It remembers one star only, so that its time is at most the product of both lengths.
pub(super) fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        if let Some(next) = one(pattern, p, text[t]) {
            p = next;
            t += 1;
            continue;
        }
        // The last star takes one byte more.
        let Some((after, taken)) = star else { return false };
        star = Some((after, taken + 1));
        p = after;
        t = taken + 1;
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Where the pattern goes on if the element at `p` fits the byte.
fn one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => class(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        literal => (literal == byte).then_some(p + 1),
    }
}

/// A class that nothing closes reaches to the end of the pattern, as in the real server.
fn class(pattern: &[u8], mut p: usize, byte: u8) -> Option<usize> {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern.get(p) {
            None => break,
            Some(b']') => {
                p += 1;
                break;
            }
            Some(b'\\') if p + 1 < pattern.len() => {
                found |= pattern[p + 1] == byte;
                p += 2;
            }
            Some(from) if pattern.get(p + 1) == Some(&b'-') && p + 2 < pattern.len() => {
                let to = pattern[p + 2];
                found |= (*from.min(&to)..=*from.max(&to)).contains(&byte);
                p += 3;
            }
            Some(literal) => {
                found |= *literal == byte;
                p += 1;
            }
        }
    }
    (found != negated).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_as_in_the_real_server() {
        let table = [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("file:*", "file:a/b", true),
            ("file:*", "object:a", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hbllo", true),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "aXb", false),
            ("[\\]]", "]", true),
            ("[abc", "c", true),
            ("a**", "a", true),
            ("\\", "\\", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_the_product_of_the_lengths() {
        let pattern = "a*".repeat(2000) + "b";
        assert!(!fits(pattern.as_bytes(), "a".repeat(4000).as_bytes()));
    }
}
