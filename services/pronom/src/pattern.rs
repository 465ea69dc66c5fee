//! The patterns that a signature is made of, and whether bytes match one. Knows nothing of offsets: that is `signature`'s.

/// A run of bytes that a signature asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Exactly these bytes.
    Bytes(Vec<u8>),
    /// One byte out of a set: a range, a negation, a bit mask.
    Set(ByteSet),
    /// As many bytes as each bound has, between the two in the order of dictionaries.
    Range(Vec<u8>, Vec<u8>),
    /// As many bytes as the pattern has at least, and it does not match there.
    Not(Box<Pattern>),
    /// One of these.
    Choice(Vec<Pattern>),
    /// All of these, without a gap.
    List(Vec<Pattern>),
}

/// Which end of the bytes a pattern has to touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

impl Pattern {
    /// Calls `found` with the length of each match at that end of `bytes`, until it says that it has enough (true).
    pub(crate) fn lengths(&self, bytes: &[u8], end: End, found: &mut dyn FnMut(usize) -> bool) -> bool {
        let touching = |length: usize| match end {
            End::Front => bytes.get(..length),
            End::Back => bytes.len().checked_sub(length).map(|from| &bytes[from..]),
        };
        match self {
            Pattern::Bytes(wanted) => touching(wanted.len()) == Some(wanted) && found(wanted.len()),
            Pattern::Set(set) => touching(1).is_some_and(|byte| set.has(byte[0])) && found(1),
            Pattern::Range(from, to) => {
                touching(from.len()).is_some_and(|bytes| from.as_slice() <= bytes)
                    && touching(to.len()).is_some_and(|bytes| bytes <= to.as_slice())
                    && found(from.len())
            }
            Pattern::Not(pattern) => {
                let length = pattern.length().0;
                touching(length).is_some() && !pattern.lengths(bytes, end, &mut |_| true) && found(length)
            }
            Pattern::Choice(choices) => choices.iter().any(|choice| choice.lengths(bytes, end, found)),
            Pattern::List(parts) => lengths_in_a_row(parts, bytes, end, found),
        }
    }

    /// The shortest and the longest match, in bytes.
    pub(crate) fn length(&self) -> (usize, usize) {
        match self {
            Pattern::Bytes(bytes) => (bytes.len(), bytes.len()),
            Pattern::Set(_) => (1, 1),
            Pattern::Range(from, _) => (from.len(), from.len()),
            Pattern::Not(pattern) => (pattern.length().0, pattern.length().0),
            Pattern::Choice(choices) => {
                let lengths = choices.iter().map(Pattern::length);
                lengths.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_default()
            }
            Pattern::List(parts) => {
                parts.iter().map(Pattern::length).fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
            }
        }
    }
}

/// Like [`Pattern::lengths`], for patterns that follow each other without a gap.
pub(crate) fn lengths_in_a_row(
    parts: &[Pattern],
    bytes: &[u8],
    end: End,
    found: &mut dyn FnMut(usize) -> bool,
) -> bool {
    let next = match end {
        End::Front => parts.split_first(),
        End::Back => parts.split_last(),
    };
    let Some((part, others)) = next else { return found(0) };
    part.lengths(bytes, end, &mut |length| {
        let rest = match end {
            End::Front => &bytes[length..],
            End::Back => &bytes[..bytes.len() - length],
        };
        lengths_in_a_row(others, rest, end, &mut |more| found(length + more))
    })
}

/// A set of byte values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByteSet(pub(crate) [u64; 4]);

impl ByteSet {
    pub(crate) fn of(belongs: impl Fn(u8) -> bool) -> Self {
        let mut words = [0; 4];
        for byte in (0..=u8::MAX).filter(|byte| belongs(*byte)) {
            words[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        ByteSet(words)
    }

    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pattern: &Pattern, bytes: &[u8], end: End) -> Vec<usize> {
        let mut found = Vec::new();
        pattern.lengths(bytes, end, &mut |length| {
            found.push(length);
            false
        });
        found
    }

    /// Pattern, bytes, lengths at the front and at the back.
    type Row = (Pattern, &'static [u8], &'static [usize], &'static [usize]);

    #[test]
    fn each_kind_of_pattern_matches_at_both_ends() {
        let ab = || Pattern::Bytes(b"ab".to_vec());
        let digit = || Pattern::Set(ByteSet::of(|byte| byte.is_ascii_digit()));
        let odd = Pattern::Set(ByteSet::of(|byte| byte & 1 == 1));
        let choice = Pattern::Choice(vec![Pattern::Bytes(b"a".to_vec()), ab(), Pattern::Bytes(b"b".to_vec())]);
        let table: [Row; 12] = [
            (ab(), b"abcab", &[2], &[2]),
            (ab(), b"a", &[], &[]),
            (digit(), b"1x", &[1], &[]),
            (digit(), b"", &[], &[]),
            (odd, &[2, 3], &[], &[1]),
            (Pattern::Range(vec![1, 9], vec![2, 1]), &[1, 200, 2], &[2], &[]),
            (Pattern::Range(vec![1, 9], vec![2, 1]), &[2, 1], &[2], &[2]),
            (Pattern::Not(Box::new(ab())), b"abc", &[], &[2]),
            (Pattern::Not(Box::new(ab())), b"a", &[], &[]),
            (choice.clone(), b"ab", &[1, 2], &[2, 1]),
            (Pattern::List(vec![choice.clone(), digit()]), b"ab1", &[3], &[3, 2]),
            (Pattern::List(vec![digit(), choice]), b"1ab", &[2, 3], &[3]),
        ];
        for (pattern, bytes, front, back) in table {
            assert_eq!(all(&pattern, bytes, End::Front), front, "{pattern:?} at the front of {bytes:?}");
            assert_eq!(all(&pattern, bytes, End::Back), back, "{pattern:?} at the back of {bytes:?}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_shortest_and_the_longest_match() {
        let choice = Pattern::Choice(vec![Pattern::Bytes(vec![1]), Pattern::Bytes(vec![1, 2, 3])]);
        assert_eq!(Pattern::List(vec![choice.clone(), Pattern::Set(ByteSet::default())]).length(), (2, 4));
        assert_eq!(Pattern::Not(Box::new(choice)).length(), (1, 1));
    }
}
