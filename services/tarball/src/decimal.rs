//! Numbers as PAX writes them.

/// Digits only, below 2^63.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse::<i64>().ok()?.try_into().ok()
}
