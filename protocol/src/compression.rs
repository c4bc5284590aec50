//! zlib, as bodies and registrations use it, with a bound on what a peer's bytes may unfold to.

use std::fmt;
use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Why bytes do not unfold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompressionError {
    /// They are no complete zlib stream.
    Broken,
    /// They unfold to more than this many bytes.
    TooLong(usize),
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("not a complete zlib stream"),
            Self::TooLong(len_max) => write!(f, "unfolds to more than {len_max} bytes"),
        }
    }
}

impl std::error::Error for CompressionError {}

/// A zlib stream of `plain`. Levels go from 0 (stored) to 9 (smallest); Java's clients use 5.
pub fn zlib(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::new(level.min(9)));
    // Writing to memory cannot fail.
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("a vector takes every byte")
}

/// What a zlib stream unfolds to, at most `len_max` bytes. Bytes behind the stream are ignored, as in Java.
pub fn unzlib(compressed: &[u8], len_max: usize) -> Result<Bytes, CompressionError> {
    let mut plain = Vec::new();
    let limit = u64::try_from(len_max).unwrap_or(u64::MAX).saturating_add(1);
    ZlibDecoder::new(compressed).take(limit).read_to_end(&mut plain).map_err(|_| CompressionError::Broken)?;
    if plain.len() > len_max {
        return Err(CompressionError::TooLong(len_max));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is folded unfolds, up to the limit and not a byte further.
    #[test]
    fn bounded_round_trip() {
        for len in [0, 1, 100, 100_000] {
            let plain = vec![7; len];
            for level in [0, 1, 5, 9, 99] {
                let folded = zlib(&plain, level);
                assert_eq!(unzlib(&folded, len).as_deref(), Ok(&plain[..]));
                if len > 0 {
                    assert_eq!(unzlib(&folded, len - 1), Err(CompressionError::TooLong(len - 1)));
                    assert_eq!(unzlib(&folded[..folded.len() - 1], len), Err(CompressionError::Broken));
                }
            }
        }
        assert_eq!(unzlib(b"Hello", 100), Err(CompressionError::Broken));
    }
}
