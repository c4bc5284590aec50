//! Counters of a broker.

use serde::{Deserialize, Serialize};

/// Answer to `VIEW_BROKER_STATS_DATA`. Java: `BrokerStatsData`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BrokerStatsData {
    /// Of the last day.
    pub stats_day: BrokerStatsItem,
    /// Of the last hour.
    pub stats_hour: BrokerStatsItem,
    /// Of the last minute.
    pub stats_minute: BrokerStatsItem,
}

/// A counter over a time. Java: `BrokerStatsItem`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BrokerStatsItem {
    /// The mean of what was counted.
    pub avgpt: f64,
    /// The sum.
    pub sum: i64,
    /// The sum by second.
    pub tps: f64,
}
