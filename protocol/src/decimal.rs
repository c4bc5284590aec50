//! Numbers as decimal digits. Every header has a handful, and the standard library's formatting takes ten times as long.

/// The digits of a number, with a minus sign if it has one.
pub(crate) struct Decimal {
    /// Filled from the end.
    bytes: [u8; 20],
    from: usize,
}

impl Decimal {
    pub(crate) fn new(value: i64) -> Self {
        let (mut bytes, mut from, mut rest) = ([b'-'; 20], 0, value.unsigned_abs());
        for (at, byte) in bytes.iter_mut().enumerate().rev() {
            *byte = b'0' | (rest % 10) as u8;
            rest /= 10;
            from = at;
            if rest == 0 {
                break;
            }
        }
        // What is in front of the digits is a minus sign already.
        Self { bytes, from: from - usize::from(value < 0) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same digits as the standard library writes, up to both ends.
    #[test]
    fn digits_are_the_usual_ones() {
        for value in [0, 7, -7, 10, 99, -100, 1_700_000_000_123, i64::MAX, i64::MIN, i64::from(i32::MIN)] {
            assert_eq!(Decimal::new(value).as_bytes(), value.to_string().as_bytes());
        }
    }
}
