//! The Bloom filter by whose bits messages say which groups' filters want them. A pure core.
//!
//! A group's filter for a topic has a few bits of a bit map; a message's bit map has those of every filter that
//! wants it. Whose bits are not all there does not want the message; whose are may want it.
//!
//! ```text
//! bit n of a bit map:  byte n / 8, value 1 << n % 8
//! ```
//!
//! Sizes, hashes and bits are Java's to the bit: both read each other's bit maps. Java counterparts: `BloomFilter`,
//! `BitsArray`, and Guava's `murmur3_128`.

use std::f64::consts::E;

use serde::{Deserialize, Serialize};

/// The bits that belong to a filter, as files have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BloomFilterData {
    /// Bits of the whole bit map.
    bit_num: usize,
    bit_pos: Vec<usize>,
}

impl BloomFilterData {
    /// Whether the filter may want the message of this bit map: also if the bit map is one of another size.
    pub(crate) fn may_want(&self, bit_map: &[u8]) -> bool {
        let is_set = |bit: &usize| bit_map.get(bit / 8).is_none_or(|byte| byte & bit_of(*bit) != 0);
        bit_map.len() * 8 != self.bit_num || self.bit_pos.iter().all(is_set)
    }

    /// Sets the filter's bits.
    pub(crate) fn set_in(&self, bit_map: &mut [u8]) {
        for bit in &self.bit_pos {
            if let Some(byte) = bit_map.get_mut(bit / 8) {
                *byte |= bit_of(*bit);
            }
        }
    }
}

fn bit_of(bit: usize) -> u8 {
    1 << (bit % 8)
}

/// How many bits a bit map and a filter have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BloomFilter {
    bits: usize,
    bits_of_filter: i32,
}

impl BloomFilter {
    /// One in which of `filters` filters about `error_percent` (1 to 99) of 100 seem to want a message that they do
    /// not.
    pub(crate) fn new(error_percent: i32, filters: i32) -> Self {
        let log = |base: f64, number: f64| number.ln() / base.ln();
        let error = f64::from(error_percent) / 100.0;
        let bits = (f64::from(filters) * log(2.0, 1.0 / error) * log(2.0, E)).ceil();
        Self { bits: (bits as usize).next_multiple_of(8), bits_of_filter: log(0.5, error).ceil() as i32 }
    }

    /// The bits of a group's filter for a topic.
    pub(crate) fn data(&self, group: &str, topic: &str) -> BloomFilterData {
        let hash = murmur3(format!("{group}#{topic}").as_bytes());
        let (low, high) = (hash as i32, (hash >> 32) as i32);
        let position = |at: i32| {
            let combined = low.wrapping_add(at.wrapping_mul(high));
            let positive = if combined < 0 { !combined } else { combined };
            positive as usize % self.bits
        };
        BloomFilterData { bit_num: self.bits, bit_pos: (1..=self.bits_of_filter).map(position).collect() }
    }

    /// A bit map without a bit set.
    pub(crate) fn bit_map(&self) -> Vec<u8> {
        vec![0; self.bits / 8]
    }
}

impl Default for BloomFilter {
    /// Java's defaults.
    fn default() -> Self {
        Self::new(20, 32)
    }
}

/// The first half of MurmurHash3 x64 128 with seed 0.
fn murmur3(bytes: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let mut blocks = bytes.chunks(16);
    for block in &mut blocks {
        let mut whole = [0; 16];
        for (to, from) in whole.iter_mut().zip(block) {
            *to = *from;
        }
        let both = u128::from_le_bytes(whole);
        h1 ^= mix1(both as u64);
        let second = mix2((both >> 64) as u64);
        if block.len() < 16 {
            h2 ^= second;
            break;
        }
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= second;
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    fmix(h1).wrapping_add(fmix(h2))
}

fn fmix(mut k: u64) -> u64 {
    k = (k ^ k >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ k >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ k >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Guava's `murmur3_128` gives for the first 0, 1, … 32 of these characters.
    const HASHES: [i64; 33] = [
        0,
        -8839064797231613815,
        -7815133031266706642,
        -5434086359492102041,
        -5153323217664422577,
        2321271983248423864,
        -1982280103179862187,
        -6427428730009885543,
        -3708139591217214462,
        380484692874131812,
        -5277837174909203303,
        -6298899011365987070,
        -8145996112604765804,
        1605577856027523699,
        -7939682693950507552,
        -8449275918290243589,
        -4266531025627334877,
        8459014091212432983,
        8642562632588429904,
        1553948733687623048,
        3533978973131760369,
        -3903098180127962820,
        -7671632165822793642,
        4631964013369959310,
        7247582695085976823,
        8207752751930119695,
        8402764170624191145,
        9092165682507669573,
        -8356906267494875295,
        3598323262868853886,
        4713044501803512641,
        5471981472859969704,
        1630628199398509283,
    ];

    #[test]
    fn hashes_are_guavas() {
        for (len, hash) in HASHES.into_iter().enumerate() {
            assert_eq!(murmur3(&b"abcdefghijklmnopqrstuvwxyz0123456789"[..len]) as i64, hash, "{len}");
        }
    }

    /// Sizes and bits as `BloomFilter.createByFn` and `generate` of Java 4.9.7 give them.
    #[test]
    fn bits_are_javas() {
        let long = ("a-longer-group-name", "%RETRY%Grüße 0123456789");
        for (error_percent, filters, bit_num, short, other) in [
            (20, 32, 112, &[90, 68, 28][..], &[10, 64, 105][..]),
            (1, 1, 16, &[10, 4, 12, 13, 1, 15, 15], &[10, 0, 9, 3, 13, 8, 14]),
            (99, 5, 8, &[2], &[2]),
            (50, 7, 16, &[10], &[10]),
            (10, 128, 616, &[202, 292, 140, 261], &[234, 344, 161, 51]),
            (
                1,
                20_000,
                191_704,
                &[123_762, 37_500, 23_820, 54_261, 107_001, 146_023, 15_239],
                &[146_138, 75_320, 187_201, 66_315, 137_133, 14_632, 135_518],
            ),
            (25, 3, 16, &[10, 4], &[10, 0]),
        ] {
            let bloom = BloomFilter::new(error_percent, filters);
            let data = |bits: &[usize]| BloomFilterData { bit_num, bit_pos: bits.to_vec() };
            assert_eq!(bloom.data("g", "T"), data(short), "{error_percent} {filters}");
            assert_eq!(bloom.data(long.0, long.1), data(other), "{error_percent} {filters}");
            assert_eq!(bloom.bit_map().len(), bit_num / 8);
        }
    }

    /// All of a filter's bits must be there; a bit map of another size says nothing.
    #[test]
    fn bit_maps() {
        let bloom = BloomFilter::default();
        let (one, other) = (bloom.data("g", "T"), bloom.data("h", "T"));
        let mut bit_map = bloom.bit_map();
        assert!(!one.may_want(&bit_map));
        one.set_in(&mut bit_map);
        // Bits 28, 68 and 90.
        assert_eq!(bit_map, [0, 0, 0, 16, 0, 0, 0, 0, 16, 0, 0, 4, 0, 0]);
        assert!(one.may_want(&bit_map) && !other.may_want(&bit_map));
        assert!(other.may_want(&bit_map[1..]) && other.may_want(&[]));
    }
}
