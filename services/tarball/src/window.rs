//! The first and the last bytes of a file, copied out while it passes: what the identification of its format looks at.

/// Keeps both ends of a file of known size. Copies so many bytes and no more, and keeps none of the chunks alive.
#[derive(Debug, Clone)]
pub struct HeadTail {
    size: u64,
    position: u64,
    head: Vec<u8>,
    most_head: usize,
    tail: Vec<u8>,
    most_tail: usize,
}

impl HeadTail {
    /// For a file of `size` bytes, of which at most so many are wanted from either end; they overlap in a short file.
    pub fn new(size: u64, head: usize, tail: usize) -> Self {
        Self { size, position: 0, head: Vec::new(), most_head: head, tail: Vec::new(), most_tail: tail }
    }

    /// The next bytes of the file. What exceeds its size is not looked at.
    pub fn see(&mut self, chunk: &[u8]) {
        let chunk = &chunk[..clamped(self.size - self.position, chunk.len())];
        let head = &chunk[..chunk.len().min(self.most_head - self.head.len())];
        self.head.extend_from_slice(head);
        let tail_begins = self.size.saturating_sub(self.most_tail as u64);
        let before_tail = clamped(tail_begins.saturating_sub(self.position), chunk.len());
        self.tail.extend_from_slice(&chunk[before_tail..]);
        self.position += chunk.len() as u64;
    }

    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Complete when the whole file has been seen.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }
}

fn clamped(wanted: u64, there: usize) -> usize {
    usize::try_from(wanted).map_or(there, |wanted| wanted.min(there))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_ends_are_kept_at_any_chunking(file: Vec<u8>, head in 0..40_usize, tail in 0..40_usize, chunk in 1..20_usize) {
            let mut window = HeadTail::new(file.len() as u64, head, tail);
            file.chunks(chunk).for_each(|chunk| window.see(chunk));
            window.see(b"beyond");
            prop_assert_eq!(window.head(), &file[..head.min(file.len())]);
            prop_assert_eq!(window.tail(), &file[file.len().saturating_sub(tail)..]);
        }
    }
}
