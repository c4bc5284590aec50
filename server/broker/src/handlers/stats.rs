//! What the Broker counted. Java counterpart: 28 and 315 of `AdminBrokerProcessor`, `getRuntimeInfo` of the
//! store. Tools read the runtime table by key without asking whether it is there, so every key of 4.9.8 is,
//! also those for which nothing exists here.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrocket_protocol::body::register::KVTable;
use ferrocket_protocol::body::stats::{BrokerStatsData, BrokerStatsItem};
use ferrocket_protocol::command::VERSION_4_9_8;
use ferrocket_protocol::requests::stats::ViewBrokerStatsDataHeader;
use ferrocket_protocol::{Header, RemotingCommand, ResponseCode, fastjson};
use ferrocket_remoting::Connection;
use ferrocket_store::{Disk, DiskSpace, OsDisk};

use super::Answer;
use crate::broker::Shared;
use crate::late;
use crate::refusal::Refusal;
use crate::stats::{Rate, SpanSum, Statistic};
use crate::topics::SCHEDULE_TOPIC;

/// 28: the runtime table.
pub(crate) fn get_broker_runtime_info(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let table = KVTable { table: runtime_info(broker) };
        Ok(asked.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&table)))
    })
}

fn runtime_info(broker: &Shared) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    let mut put = |key: &str, value: String| table.insert(key.to_owned(), value);
    let (stats, summary) = (&broker.stats, broker.stats.summary());
    let now = summary.now;
    // Java shows 1 for nothing, which tools divide by.
    let times = now.put_times.max(1);
    put("bootTimestamp", summary.boot_ms.to_string());
    put("runtime", runtime_text(broker.clock.now_ms() - summary.boot_ms));
    put("putMessageEntireTimeMax", summary.put_time_max_ms.to_string());
    put("putMessageTimesTotal", times.to_string());
    put("putMessageFailedTimes", now.put_failed_times.to_string());
    put("putMessageSizeTotal", now.put_size.to_string());
    put("putMessageDistributeTime", summary.put_distribution);
    put("putMessageAverageSize", format!("{:?}", now.put_size as f64 / times as f64));
    put("putTps", stats.rates(Rate::Put));
    put("getFoundTps", stats.rates(Rate::GetFound));
    put("getMissTps", stats.rates(Rate::GetMiss));
    put("getTotalTps", stats.rates(Rate::GetTotal));
    // 4.9's tools know the first spelling, 5.x's the second.
    put("getTransferedTps", stats.rates(Rate::Transferred));
    put("getTransferredTps", stats.rates(Rate::Transferred));
    put("putLatency99", format!("{:.2}", summary.put_latency_99_ms));
    put("putLatency999", format!("{:.2}", summary.put_latency_999_ms));
    put("brokerVersionDesc", "V4_9_8".to_owned());
    put("brokerVersion", VERSION_4_9_8.to_string());
    put("msgPutTotalYesterdayMorning", summary.yesterday_morning.put_times.to_string());
    put("msgPutTotalTodayMorning", summary.today_morning.put_times.to_string());
    put("msgPutTotalTodayNow", now.put_times.to_string());
    put("msgGetTotalYesterdayMorning", summary.yesterday_morning.transferred.to_string());
    put("msgGetTotalTodayMorning", summary.today_morning.transferred.to_string());
    put("msgGetTotalTodayNow", now.transferred.to_string());

    // Sends, pulls and ends of transactions are served where they are read, without a queue before: it is always
    // empty. Queries and what else takes time does have one.
    for (size, capacity, capacity_of) in [
        ("sendThreadPoolQueueSize", "sendThreadPoolQueueCapacity", "10000"),
        ("pullThreadPoolQueueSize", "pullThreadPoolQueueCapacity", "100000"),
        ("EndTransactionQueueSize", "EndTransactionThreadPoolQueueCapacity", "100000"),
    ] {
        put(size, "0".to_owned());
        put(capacity, capacity_of.to_owned());
    }
    // Without the request that this answers.
    put("queryThreadPoolQueueSize", broker.late.taken().saturating_sub(1).to_string());
    put("queryThreadPoolQueueCapacity", late::LATE_MAX.to_string());
    put("getMessageEntireTimeMax", summary.get_time_max_ms.to_string());
    put("pageCacheLockTimeMills", broker.store.append_lock_ms().to_string());
    // Queues and index get their entries in the round that writes a message: they are never behind.
    for idle in [
        "dispatchBehindBytes",
        "dispatchMaxBuffer",
        "sendThreadPoolQueueHeadWaitTimeMills",
        "pullThreadPoolQueueHeadWaitTimeMills",
        "queryThreadPoolQueueHeadWaitTimeMills",
    ] {
        put(idle, "0".to_owned());
    }
    // What Java shows without a transient pool.
    put("remainTransientStoreBufferNumbs", i32::MAX.to_string());

    let store = &broker.store;
    put("earliestMessageTimeStamp", store.earliest_log_time().to_string());
    put("startAcceptSendRequestTimeStamp", broker.settings.now().start_accept_send_ms.to_string());
    put("commitLogMinOffset", store.min_physical_offset().to_string());
    put("commitLogMaxOffset", store.max_physical_offset().to_string());
    let unflushed = store.max_physical_offset() - store.flushed_offset();
    put("remainHowManyDataToFlush", bytes_text(u64::try_from(unflushed).unwrap_or(0)));
    for (level, offset) in broker.delay.to_table().offset_table {
        let max_offset = store.max_offset(SCHEDULE_TOPIC, level - 1);
        put(&format!("scheduleMessageOffset_{level}"), format!("{offset},{max_offset}"));
    }
    let dir = &broker.settings.now().commit_log_dir;
    // Fails only if the folder is gone, and then so is the store.
    let space = |dir| OsDisk.space(dir).unwrap_or(DiskSpace { used: 0, available: 0 });
    let ratio = ratio_text(space(dir));
    put(&format!("commitLogDiskRatio_{}", dir.display()), ratio.clone());
    put("commitLogDiskRatio", ratio);
    // The two may lie on different disks; the capacity is the root folder's, in spite of its name.
    let root = space(&store.root());
    put("consumeQueueDiskRatio", ratio_text(root));
    let (total, free) = (root.used.saturating_add(root.available), root.available);
    put("commitLogDirCapacity", format!("Total : {}, Free : {}.", bytes_text(total), bytes_text(free)));
    table
}

fn ratio_text(DiskSpace { used, available }: DiskSpace) -> String {
    let total = used.saturating_add(available);
    format!("{:?}", if total == 0 { 0.0 } else { used as f64 / total as f64 })
}

/// Java: `MixAll.humanReadableByteCount`.
fn bytes_text(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

fn runtime_text(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (days, hours) = (seconds / 86_400, seconds % 86_400 / 3600);
    let (minutes, seconds) = (seconds % 3600 / 60, seconds % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {seconds} seconds ]")
}

/// 315: one statistic of one key. One that never counted is an error that exporters expect.
pub(crate) fn view_broker_stats_data(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let ViewBrokerStatsDataHeader { stats_name, stats_key } = Header::decode(&request.ext_fields)?;
    let statistic = Statistic::from_name(&stats_name);
    let Some([minute, hour, day]) = statistic.and_then(|statistic| broker.stats.item(statistic, &stats_key))
    else {
        return Err(Refusal::system_error(format!("The stats <{stats_name}> <{stats_key}> not exist")));
    };
    let item = |SpanSum { sum, tps, avgpt }| BrokerStatsItem { avgpt, sum, tps };
    let data = BrokerStatsData { stats_day: item(day), stats_hour: item(hour), stats_minute: item(minute) };
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&data))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that tools take apart by position.
    #[test]
    fn texts() {
        assert_eq!(bytes_text(0), "0 B");
        assert_eq!(bytes_text(1023), "1023 B");
        assert_eq!(bytes_text(1536), "1.5 KiB");
        assert_eq!(bytes_text(100 << 30), "100.0 GiB");
        assert_eq!(runtime_text(90_061_000), "[ 1 days, 1 hours, 1 minutes, 1 seconds ]");
    }
}
