//! zlib, as bodies and registrations use it, and lz4 and zstd as bodies of 5.x may, with a bound on what a peer's
//! bytes may unfold to.

use std::fmt;
use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Why bytes do not unfold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompressionError {
    /// They are no complete stream.
    Broken,
    /// They unfold to more than this many bytes.
    TooLong(usize),
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("not a complete compressed stream"),
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
    unfold(ZlibDecoder::new(compressed), len_max)
}

/// An LZ4 frame of `plain`, as Java's `Lz4Compressor` writes it.
#[cfg(feature = "lz4")]
pub fn lz4(plain: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::with_capacity(plain.len() / 2));
    // Writing to memory cannot fail.
    encoder.write_all(plain).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}

/// What LZ4 frames unfold to, at most `len_max` bytes.
#[cfg(feature = "lz4")]
pub fn unlz4(compressed: &[u8], len_max: usize) -> Result<Bytes, CompressionError> {
    unfold(lz4_flex::frame::FrameDecoder::new(compressed), len_max)
}

/// A zstd frame of `plain`. Levels go from 1 (fast) to 22 (smallest); Java's clients use 5.
#[cfg(feature = "zstd")]
pub fn zstd(plain: &[u8], level: u32) -> Vec<u8> {
    let level = i32::try_from(level.clamp(1, 22)).unwrap_or(5);
    zstd::encode_all(plain, level).expect("a vector takes every byte")
}

/// What zstd frames unfold to, at most `len_max` bytes.
#[cfg(feature = "zstd")]
pub fn unzstd(compressed: &[u8], len_max: usize) -> Result<Bytes, CompressionError> {
    unfold(zstd::Decoder::new(compressed).map_err(|_| CompressionError::Broken)?, len_max)
}

fn unfold(stream: impl Read, len_max: usize) -> Result<Bytes, CompressionError> {
    let mut plain = Vec::new();
    let limit = u64::try_from(len_max).unwrap_or(u64::MAX).saturating_add(1);
    stream.take(limit).read_to_end(&mut plain).map_err(|_| CompressionError::Broken)?;
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

    /// The other two have the same bounds, and the magic numbers of their frames.
    #[test]
    #[cfg(all(feature = "lz4", feature = "zstd"))]
    fn other_kinds_are_bounded() {
        type Unfold = fn(&[u8], usize) -> Result<Bytes, CompressionError>;
        let plain = vec![7; 100_000];
        let kinds: [(Vec<u8>, Unfold, [u8; 4]); 2] = [
            (lz4(&plain), unlz4, [0x04, 0x22, 0x4d, 0x18]),
            (super::zstd(&plain, 5), unzstd, [0x28, 0xb5, 0x2f, 0xfd]),
        ];
        for (folded, unfold, magic) in kinds {
            assert!(folded.len() < 1_000 && folded.starts_with(&magic));
            assert_eq!(unfold(&folded, plain.len()).as_deref(), Ok(&plain[..]));
            assert_eq!(unfold(&folded, plain.len() - 1), Err(CompressionError::TooLong(plain.len() - 1)));
            assert_eq!(unfold(&folded[..folded.len() / 2], plain.len()), Err(CompressionError::Broken));
            assert_eq!(unfold(b"Hello", 100), Err(CompressionError::Broken));
        }
    }
}
