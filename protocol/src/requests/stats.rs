//! Statistics.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `VIEW_BROKER_STATS_DATA`. Java: `ViewBrokerStatsDataRequestHeader`.
    ViewBrokerStatsDataHeader {
        stats_name: Text = "statsName" required,
        stats_key: Text = "statsKey" required,
    }
}
