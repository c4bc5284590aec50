//! Numbers as decimal digits. Every header has a handful, and the standard library's formatting takes ten times as long.

/// The digits of the numbers up to 99: two at once halve the divisions.
const PAIRS: [[u8; 2]; 100] = {
    let (mut pairs, mut number) = ([[0; 2]; 100], 0);
    while number < 100 {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

/// The digits of a number, with a minus sign if it has one.
pub(crate) struct Decimal {
    /// Filled from the end.
    bytes: [u8; 20],
    from: usize,
}

impl Decimal {
    pub(crate) fn new(value: i64) -> Self {
        let (mut bytes, mut from, mut rest) = ([0; 20], 0, value.unsigned_abs());
        for (at, pair) in bytes.as_chunks_mut::<2>().0.iter_mut().enumerate().rev() {
            *pair = PAIRS[(rest % 100) as usize];
            rest /= 100;
            if rest == 0 {
                from = 2 * at + usize::from(pair[0] == b'0');
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same digits as the standard library writes, up to both ends.
    #[test]
    fn digits_are_the_usual_ones() {
        let ends = [1_700_000_000_123, i64::MAX, i64::MIN, i64::from(i32::MIN)];
        for value in (-1_001..1_002).chain((3..19).map(|digits| 10_i64.pow(digits))).chain(ends) {
            assert_eq!(Decimal::new(value).as_bytes(), value.to_string().as_bytes());
        }
    }
}
