//! UTF-16 into UTF-8, however the bytes are cut. Who finds out that it is UTF-16 is `lines`.

#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Endian {
    #[default]
    Big,
    Little,
}

#[derive(Debug, Default)]
pub(crate) struct Utf16 {
    endian: Endian,
    /// The first byte of a unit whose second has not come.
    odd: Option<u8>,
    /// The first unit of a pair whose second has not come.
    high: Option<u16>,
}

impl Utf16 {
    pub(crate) fn new(endian: Endian) -> Self {
        Self { endian, odd: None, high: None }
    }

    /// What is not UTF-16 becomes U+FFFD.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len());
        for &byte in bytes {
            let Some(first) = self.odd.take() else {
                self.odd = Some(byte);
                continue;
            };
            let unit = match self.endian {
                Endian::Big => u16::from_be_bytes([first, byte]),
                Endian::Little => u16::from_le_bytes([first, byte]),
            };
            self.unit(unit, &mut text);
        }
        text
    }

    /// U+FFFD, where the text ended in the middle of a character.
    pub(crate) fn finish(&mut self) -> String {
        let cut = self.odd.take().is_some() | self.high.take().is_some();
        if cut { char::REPLACEMENT_CHARACTER.into() } else { String::new() }
    }

    fn unit(&mut self, unit: u16, text: &mut String) {
        let units = self.high.take().into_iter().chain([unit]);
        let mut units = units.peekable();
        while let Some(unit) = units.next() {
            let is_high = (0xd800..0xdc00).contains(&unit);
            if is_high && units.peek().is_none() {
                self.high = Some(unit);
            } else if is_high && units.peek().is_some_and(|low| (0xdc00..0xe000).contains(low)) {
                let pair = [unit, units.next().unwrap_or_default()];
                text.extend(char::decode_utf16(pair).flatten());
            } else {
                text.push(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(units: &[u16]) -> String {
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let mut decoder = Utf16::new(Endian::Big);
        let mut text: String = bytes.chunks(1).map(|byte| decoder.decode(byte)).collect();
        text.push_str(&decoder.finish());
        text
    }

    #[test]
    fn lone_halves_are_replaced_and_pairs_joined() {
        assert_eq!(decode(&[0x41, 0xd83d, 0xde00, 0x42]), "A😀B");
        assert_eq!(decode(&[0xd83d, 0x41]), "\u{fffd}A");
        assert_eq!(decode(&[0xd83d, 0xd83d, 0xde00]), "\u{fffd}😀");
        assert_eq!(decode(&[0xde00, 0x41]), "\u{fffd}A");
        assert_eq!(decode(&[0x41, 0xd83d]), "A\u{fffd}");
        let mut decoder = Utf16::new(Endian::Little);
        assert_eq!((decoder.decode(b"A\0B"), decoder.finish()), ("A".to_owned(), "\u{fffd}".to_owned()));
    }
}
