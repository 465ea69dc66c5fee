//! Comparison without case, by Unicode's simple case folding.

/// Whether two texts are the same but for case, character by character: `ß` is `ẞ`, but not `ss`.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.chars().map(fold).eq(other.chars().map(fold))
}

fn fold(c: char) -> char {
    // Its capital is the I of every other language, so by Unicode it folds to itself.
    if c == 'ı' { c } else { single(single(c, char::to_uppercase), char::to_lowercase) }
}

/// A mapping to several characters is not simple and leaves the character as it is.
fn single<I: Iterator<Item = char>>(c: char, map: fn(char) -> I) -> char {
    let mut mapped = map(c);
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_folded_as_unicode_has_it() {
        for (one, other) in [
            ("glacier-DEEP-oh", "Glacier-Deep-OH"),
            ("ΣΑΣ", "σας"),
            ("ẞ", "ß"),
            ("K", "k"),
            ("ſ", "S"),
            ("µ", "μ"),
            ("ᾳ", "ᾼ"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [("ß", "ss"), ("ı", "i"), ("İ", "i"), ("a", "ab"), ("é", "e")] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
