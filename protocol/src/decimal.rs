//! Numbers as decimal digits. Every header has a handful, and the standard library's formatting takes ten times as long.

/// The digits of a number, with a minus sign if it has one.
pub(crate) struct Decimal {
    /// Filled from the end.
    bytes: [u8; 20],
    from: usize,
}

impl Decimal {
    pub(crate) fn new(value: i64) -> Self {
        let (mut bytes, mut from, mut rest) = ([0; 20], 20, value.unsigned_abs());
        loop {
            from -= 1;
            bytes[from] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            from -= 1;
            bytes[from] = b'-';
        }
        Self { bytes, from }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("digits are characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same digits as the standard library writes, up to both ends.
    #[test]
    fn digits_are_the_usual_ones() {
        for value in [0, 7, -7, 10, 99, -100, 1_700_000_000_123, i64::MAX, i64::MIN, i64::from(i32::MIN)] {
            assert_eq!(Decimal::new(value).as_str(), value.to_string());
        }
    }
}
