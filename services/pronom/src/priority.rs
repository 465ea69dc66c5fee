//! Which of several matches wins. They come in the order of a scan; after each of them only formats count that are known to
//! win over it, and those that the file's name suggests.

/// What is still worth finding, as formats' numbers.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    /// For each format those that win over it.
    superiors: &'a dyn Superiors,
    last: Option<u16>,
    /// What the name suggests; forgotten once one of them is found.
    suggested: Vec<u16>,
}

/// The priorities that a release of PRONOM declares.
pub(crate) trait Superiors: std::fmt::Debug {
    /// Formats that win over this one, in ascending order.
    fn of(&self, format: u16) -> &[u16];
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(superiors: &'a dyn Superiors, suggested: Vec<u16>) -> Self {
        Waiting { superiors, last: None, suggested }
    }

    /// Whether a match of this format would change the answer.
    pub(crate) fn wants(&self, format: u16) -> bool {
        let Some(last) = self.last else { return true };
        let wins = |format: u16, over: u16| self.superiors.of(over).binary_search(&format).is_ok();
        wins(format, last) || (self.suggested.contains(&format) && !wins(last, format))
    }

    /// Takes a match that is wanted. True if nothing can change the answer any more.
    pub(crate) fn found(&mut self, format: u16) -> bool {
        self.last = Some(format);
        if self.suggested.contains(&format) {
            self.suggested.clear();
        }
        self.suggested.is_empty() && self.superiors.of(format).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Superiors for Vec<Vec<u16>> {
        fn of(&self, format: u16) -> &[u16] {
            &self[usize::from(format)]
        }
    }

    /// Format 2 wins over 1 and 0, 1 over 0; 3 stands by itself.
    fn table() -> Vec<Vec<u16>> {
        vec![vec![1, 2], vec![2], vec![], vec![]]
    }

    fn accepted(suggested: &[u16], matches: &[u16]) -> Vec<u16> {
        let table = table();
        let mut waiting = Waiting::new(&table, suggested.to_vec());
        let mut accepted = Vec::new();
        for format in matches {
            if waiting.wants(*format) {
                accepted.push(*format);
                if waiting.found(*format) {
                    break;
                }
            }
        }
        accepted
    }

    #[test]
    fn a_later_match_counts_only_if_it_wins() {
        let table: [(&[u16], &[u16], &[u16]); 7] = [
            (&[], &[0, 1, 2], &[0, 1, 2]),
            (&[], &[0, 3, 2], &[0, 2]),
            (&[], &[2, 1, 0, 3], &[2]),
            (&[], &[3, 0, 1], &[3]),
            // The name suggests 3: it is not lost to a weaker match that came first.
            (&[3], &[0, 3, 2], &[0, 3]),
            // Nor is the suggestion followed downwards.
            (&[0], &[1, 0], &[1]),
            (&[0], &[3, 0, 1], &[3, 0, 1]),
        ];
        for (suggested, matches, wanted) in table {
            assert_eq!(accepted(suggested, matches), wanted, "{matches:?}, the name suggests {suggested:?}");
        }
    }
}
