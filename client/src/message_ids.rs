//! The ids that this process gives its messages and itself.
//!
//! Java counterparts: `MessageClientIDSetter`, `ClientConfig.changeInstanceNameToPID`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferrocket_protocol::Text;
use ferrocket_protocol::message_id::UniqueKeys;

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 by the system's clock.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// A time as milliseconds since 1970; before that 0.
pub(crate) fn ms_of(time: SystemTime) -> i64 {
    as_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration as milliseconds; beyond what they count, the most they do.
pub(crate) fn as_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A number that nobody can foresee, from the seed of the standard library's hash maps.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Unique keys of one client. The time part counts from the start of the month, in UTC where Java takes the
/// local zone; only a tool that shows the time inside an id could tell. A new month takes a new instance
/// number, or its ids could be those of the month before.
#[derive(Debug)]
pub(crate) struct MessageIds {
    ip: IpAddr,
    /// The keys of this month and when it ends. Held for one addition and a few formatted digits.
    month: Mutex<(UniqueKeys, i64)>,
}

impl MessageIds {
    pub(crate) fn new(ip: IpAddr, now_ms: i64) -> Self {
        Self { ip, month: Mutex::new(keys_of_month(ip, now_ms)) }
    }

    /// The next id: 32 digits, or 56 with an IPv6 address.
    pub(crate) fn next(&self, now_ms: i64) -> Text {
        let mut month = self.month.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ms >= month.1 {
            *month = keys_of_month(self.ip, now_ms);
        }
        month.0.next(now_ms)
    }
}

fn keys_of_month(ip: IpAddr, now_ms: i64) -> (UniqueKeys, i64) {
    let (start, end) = month_of(now_ms);
    (UniqueKeys::new(ip, std::process::id(), random() as u32, start), end)
}

/// First millisecond of the month in UTC, and of the next one.
fn month_of(now_ms: i64) -> (i64, i64) {
    let today = now_ms.div_euclid(DAY_MS);
    let (day, len) = day_of_month(today);
    let start = today - day;
    (start * DAY_MS, (start + len) * DAY_MS)
}

/// Which day of its month a day since 1970 is, from 0, and how many days the month has.
fn day_of_month(days: i64) -> (i64, i64) {
    // Count from 1 March of year 0: then leap days end years, and eras of 400 years are alike.
    let day_of_era = (days + 719_468).rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let first = (153 * month + 2) / 5;
    // February is the last month of such a year and ends with it.
    let next_year = year + 1;
    let leap = next_year % 4 == 0 && (next_year % 100 != 0 || next_year % 400 == 0);
    let len = if month == 11 { 28 + i64::from(leap) } else { (153 * (month + 1) + 2) / 5 - first };
    (day_of_year - first, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Months begin and end where the calendar says, leap years included.
    #[test]
    fn months_are_those_of_the_calendar() {
        // 2024-02-29T12:00Z, 2023-02-28, 2100-02-28 (no leap year), 2026-11-25, 2026-12-31, 1970-01-01.
        for (now_s, start_s, end_s) in [
            (1_709_208_000, 1_706_745_600, 1_709_251_200),
            (1_677_542_400, 1_675_209_600, 1_677_628_800),
            (4_107_456_000, 4_105_123_200, 4_107_542_400),
            (1_795_564_800, 1_793_491_200, 1_796_083_200),
            (1_798_675_200, 1_796_083_200, 1_798_761_600),
            (0, 0, 2_678_400),
        ] {
            assert_eq!(month_of(now_s * 1_000), (start_s * 1_000, end_s * 1_000), "{now_s}");
        }
    }

    /// Ids of one client differ, also across the end of a month.
    #[test]
    fn ids_differ() {
        let ids = MessageIds::new("10.0.0.1".parse().unwrap(), 0);
        let made: std::collections::HashSet<_> =
            [0, 0, 1, 2_678_400_000, 2_678_400_000].iter().map(|now| ids.next(*now)).collect();
        assert_eq!(made.len(), 5);
        assert!(made.iter().all(|id| id.len() == 32 && id.starts_with("0A000001")));
    }
}
