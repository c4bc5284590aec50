//! Message ids, as texts of upper-case hexadecimal digits.
//!
//! ```text
//! offset message id   ip 4|16, port 4, physical offset 8                         32|56 digits
//! unique key          ip 4|16, pid 2, loader hash 4, ms within month 4, counter 2  32|56 digits
//! ```
//!
//! Java counterparts: `MessageDecoder.createMessageId`, `MessageClientIDSetter`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::command::Text;
use crate::text_block;

/// The id that names a stored message: which broker, which place in its CommitLog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetMessageId {
    /// The broker's address as clients know it.
    pub host: SocketAddr,
    /// Where the record stands.
    pub physical_offset: i64,
}

impl OffsetMessageId {
    /// Reads the text: 32 digits are IPv4, 56 are IPv6, anything else is no id.
    pub fn parse(text: &str) -> Option<Self> {
        let ip_len = match text.len() {
            32 => 4,
            56 => 16,
            _ => return None,
        };
        let bytes = from_hex(text)?;
        let (ip, rest) = bytes.split_at(ip_len);
        let ip: IpAddr = match ip_len {
            4 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
            _ => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
        };
        let port = u32::from_be_bytes(*rest.first_chunk()?);
        let physical_offset = i64::from_be_bytes(*rest.last_chunk()?);
        Some(Self { host: SocketAddr::new(ip, u16::try_from(port).ok()?), physical_offset })
    }
}

impl std::fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = u128::from(self.host.port()) << 64 | u128::from(self.physical_offset as u64);
        match self.host.ip() {
            IpAddr::V4(ip) => write!(f, "{:032X}", u128::from(ip.to_bits()) << 96 | place),
            IpAddr::V6(ip) => write!(f, "{:032X}{place:024X}", ip.to_bits()),
        }
    }
}

/// Makes the ids that a client gives its messages (`UNIQ_KEY`).
#[derive(Debug)]
pub struct UniqueKeys {
    prefix: String,
    month_start_ms: i64,
    counter: AtomicU32,
}

impl UniqueKeys {
    /// Ids of this process: its address, process id, a number that tells instances in one process apart, and
    /// the start of the current month in local time (ms since 1970), from which the time part counts.
    pub fn new(ip: IpAddr, pid: u32, instance: u32, month_start_ms: i64) -> Self {
        let ip = match ip {
            IpAddr::V4(ip) => format!("{:08X}", ip.to_bits()),
            IpAddr::V6(ip) => format!("{:032X}", ip.to_bits()),
        };
        let prefix = format!("{ip}{:04X}{instance:08X}", pid as u16);
        Self { prefix, month_start_ms, counter: AtomicU32::new(0) }
    }

    /// The next id. Two ids of a process differ as long as fewer than 65,536 are made in a millisecond.
    pub fn next(&self, now_ms: i64) -> Text {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let since = now_ms.wrapping_sub(self.month_start_ms) as u32;
        let number = u64::from(since) << 16 | u64::from(count as u16);
        // By hand: every message has one, and formatting takes five times as long.
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let digits: [u8; 12] = std::array::from_fn(|at| HEX[(number >> (44 - 4 * at)) as usize & 15]);
        let prefix = self.prefix.as_bytes();
        text_block::text(&[prefix, &digits])
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect();
    digits?.chunks(2).map(|pair| Some(pair.first()? << 4 | pair.get(1)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids survive the way to text and back, for both address families; other texts are no ids.
    #[test]
    fn offset_ids_round_trip() {
        for host in ["10.0.0.2:10911", "[2001:db8::2]:10911"] {
            let id = OffsetMessageId { host: host.parse().unwrap(), physical_offset: 1024 };
            assert_eq!(OffsetMessageId::parse(&id.to_string()), Some(id));
        }
        for bad in ["", "0A", &"G".repeat(32), &"F".repeat(32), &"\u{e9}".repeat(16)] {
            assert_eq!(OffsetMessageId::parse(bad), None, "{bad}");
        }
    }

    /// The parts of a unique key stand where Java's tools look for them.
    #[test]
    fn unique_keys_have_javas_layout() {
        let keys = UniqueKeys::new("10.0.0.1".parse().unwrap(), 0x1_0042, 0xDEAD_BEEF, 1_000);
        assert_eq!(keys.next(1_255), "0A0000010042DEADBEEF000000FF0000");
        assert_eq!(keys.next(1_256), "0A0000010042DEADBEEF000001000001");
    }
}
