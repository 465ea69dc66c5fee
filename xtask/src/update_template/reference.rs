//! An image reference as it stands in a template: what comes before the name, the name, and the pin.

/// The parts of a reference, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    /// Registry and path, up to and with the last `/`; or a `${variable}` that stands for them. May be empty.
    pub(super) prefix: &'a str,
    pub(super) name: &'a str,
    /// With its `:` or `@`; empty if there is none.
    pub(super) pin: &'a str,
}

impl<'a> Reference<'a> {
    /// Takes any text apart; whether it is a reference, the name tells.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut start = text.rfind('/').map_or(0, |slash| slash + 1);
        // `${Prefix}apt_delete`: the variable brings its own slash.
        while text[start..].starts_with("${") {
            match text[start..].find('}') {
                Some(end) => start += end + 1,
                None => break,
            }
        }
        let end = text[start..].find([':', '@']).map_or(text.len(), |at| start + at);
        Self { prefix: &text[..start], name: &text[start..end], pin: &text[end..] }
    }

    /// The pin is empty, `:tag`, `@digest` or both, and nothing in it is a variable.
    pub(super) fn has_literal_pin(&self) -> bool {
        let (tag, digest) = match self.pin.split_once('@') {
            Some((tag, digest)) => (tag, Some(digest)),
            None => (self.pin, None),
        };
        let tag_is_good = tag.is_empty() || tag.strip_prefix(':').is_some_and(is_tag);
        tag_is_good && digest.is_none_or(is_digest)
    }

    /// Something that a registry would accept as the last part of a name.
    pub(super) fn has_image_name(&self) -> bool {
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        self.name.starts_with(letter) && self.name.chars().all(|c| letter(c) || "._-".contains(c))
    }
}

/// Docker's alphabet of tags.
pub(super) fn is_tag(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(letter) && text.len() <= 128 && text.chars().all(|c| letter(c) || ".-".contains(c))
}

/// `sha256:` and 64 hexadecimal digits in lower case.
pub(super) fn is_digest(text: &str) -> bool {
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.chars().all(hexadecimal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (&str, &str, &str) {
        let Reference { prefix, name, pin } = Reference::parse(text);
        (prefix, name, pin)
    }

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        let ecr = "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/docker-hub/aptrust/";
        for prefix in ["", "aptrust/", "localhost:5000/try/", ecr, "${Prefix}", "x/${A}${B::C}"] {
            for pin in ["", ":a23ba20-master", &digest, &format!(":tag{digest}")] {
                let text = format!("{prefix}apt_delete{pin}");
                assert_eq!(parts(&text), (prefix, "apt_delete", pin));
                assert!(Reference::parse(&text).has_literal_pin(), "{text}");
            }
        }
    }

    #[test]
    fn a_pin_that_is_not_literal_is_told_from_one_that_is() {
        for pin in [":", "@", ":${Tag}", ":a b", "@sha256:12", ":a@b", ":-x", "@sha256:${Digest}", ":x:y"] {
            let text = format!("aptrust/apt_delete{pin}");
            assert_eq!(parts(&text), ("aptrust/", "apt_delete", pin));
            assert!(!Reference::parse(&text).has_literal_pin(), "{text}");
        }
    }

    #[test]
    fn variables_are_no_part_of_a_name() {
        assert_eq!(parts("${Prefix}${Reference}"), ("${Prefix}${Reference}", "", ""));
        assert_eq!(parts("x/apt_${y}"), ("x/", "apt_${y}", ""));
        assert_eq!(parts("${unclosed"), ("", "${unclosed", ""));
    }
}
