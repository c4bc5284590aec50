//! What a store is opened with. Java counterpart: `MessageStoreConfig`; field names are its keys in snake case.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of one ConsumeQueue entry.
pub(crate) const UNIT_LEN: usize = 20;
/// Bytes of the longest record, whatever the settings: no longer one comes in a request, nor is one believed that is
/// asked for by its place.
pub(crate) const RECORD_LEN_MAX: usize = 16 << 20;

/// When a message counts as stored. Java counterpart: `FlushDiskType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlushDiskType {
    /// Once the operating system has it; the disk follows within `flush_interval_commit_log`.
    #[default]
    AsyncFlush,
    /// Once the disk has it.
    SyncFlush,
}

/// Settings of a store. `Default` gives Java's defaults.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `storePathRootDir`: the folder that holds everything. Default `store` below the current folder; the
    /// broker sets `~/store` as Java does.
    pub store_path_root_dir: PathBuf,
    /// `storePathCommitLog`: the CommitLog's folder; `None` means `commitlog` below the root.
    pub store_path_commit_log: Option<PathBuf>,
    /// `mappedFileSizeCommitLog`: bytes of a CommitLog segment. Default 1 GiB. Must be the same for every
    /// program that opens the folder.
    pub mapped_file_size_commit_log: i64,
    /// `mappedFileSizeConsumeQueue`: bytes of a ConsumeQueue file, rounded up to whole entries. Default
    /// 6,000,000 (300,000 entries).
    pub mapped_file_size_consume_queue: i64,
    /// `enableConsumeQueueExt`: whether entries of ConsumeQueues point to units that hold their tags code, their
    /// message's store time and a bit map of the filters that want it. Default false.
    pub enable_consume_queue_ext: bool,
    /// `mappedFileSizeConsumeQueueExt`: bytes of a file of such units. Default 48 MiB.
    pub mapped_file_size_consume_queue_ext: i64,
    /// `flushDiskType`: default [`FlushDiskType::AsyncFlush`].
    pub flush_disk_type: FlushDiskType,
    /// `flushIntervalCommitLog`: between asynchronous flushes. Default 500 ms.
    pub flush_interval_commit_log: Duration,
    /// `flushIntervalConsumeQueue`: between two rounds that write ConsumeQueue and index entries out.
    /// Default 1 s.
    pub flush_interval_consume_queue: Duration,
    /// `flushConsumeQueueThoroughInterval`: between two rounds that also sync them and write the checkpoint.
    /// Default 60 s.
    pub flush_consume_queue_thorough_interval: Duration,
    /// `cleanResourceInterval`: between two rounds of the expirer. Default 10 s.
    pub clean_resource_interval: Duration,
    /// `fileReservedTime`: hours that a segment is kept after its last change. Default 72.
    pub file_reserved_time: i64,
    /// `deleteWhen`: local hours of the day in which expired segments go, separated by `;`. Default `04`.
    pub delete_when: String,
    /// `diskMaxUsedSpaceRatio`: percent of the disk from which expired segments go at any hour; clamped to
    /// 10..=95. Default 75.
    pub disk_max_used_space_ratio: i64,
    /// `diskSpaceCleanForciblyRatio`: percent from which segments go before they expire. Default 85.
    pub disk_space_clean_forcibly_ratio: i64,
    /// `diskSpaceWarningLevelRatio`: percent above which nothing more is stored. Default 90.
    pub disk_space_warning_level_ratio: i64,
    /// `cleanFileForciblyEnable`: whether a disk that is nearly full costs segments that have not expired.
    /// Default true.
    pub clean_file_forcibly_enable: bool,
    /// `maxMessageSize`: bytes of the longest body. Default 4 MiB; a whole record has 16 MiB at most.
    pub max_message_size: usize,
    /// `checkCRCOnRecover`: whether recovery compares each body with its CRC. Default true.
    pub check_crc_on_recover: bool,
    /// `maxTransferBytesOnMessageInMemory`: bytes that one get answers with. Default 256 KiB.
    pub max_transfer_bytes_on_message_in_memory: usize,
    /// `maxTransferCountOnMessageInMemory`: messages that one get answers with. Default 32.
    pub max_transfer_count_on_message_in_memory: usize,
    /// `maxTransferBytesOnMessageInDisk`: the same for messages that are far behind. Default 64 KiB.
    pub max_transfer_bytes_on_message_in_disk: usize,
    /// `maxTransferCountOnMessageInDisk`: the same for messages that are far behind. Default 8.
    pub max_transfer_count_on_message_in_disk: usize,
    /// `accessMessageInMemoryMaxRatio`: percent of the machine's memory; what lies further behind the end of
    /// the log counts as "in disk". Default 40.
    pub access_message_in_memory_max_ratio: i64,
    /// Bytes of the machine's memory. Default: what the system says.
    pub memory_bytes: i64,
    /// `messageIndexEnable`: whether keys are indexed. Default true.
    pub message_index_enable: bool,
    /// `maxHashSlotNum`: hash slots of an index file. Default 5,000,000.
    pub max_hash_slot_num: u32,
    /// `maxIndexNum`: entries of an index file. Default 20,000,000.
    pub max_index_num: u32,
    /// `maxMsgsNumBatch`: most results of one query by key. Default 64.
    pub max_msgs_num_batch: usize,
    /// `messageDelayLevel`: the delays of levels 1, 2, …, with units s, m, h, d.
    pub message_delay_level: String,
    /// `enableMultiDispatch`: whether messages are listed in the queues that they name. Default false.
    pub enable_multi_dispatch: bool,
    /// `enableLmq`: whether topics that begin with `%LMQ%` are light queues. Default false.
    pub enable_lmq: bool,
    /// `maxLmqConsumeQueueNum`: light queues of the store; messages for further ones are refused. Default 20,000.
    pub max_lmq_consume_queue_num: usize,
    /// The address written into records: the first part of an offset message id.
    pub store_host: SocketAddr,
    /// Bytes of recent appends that are served from memory. Default 16 MiB.
    pub recent_bytes_max: usize,
    /// Whether a log that is damaged where it was known to be on disk is cut at the damage, as Java does,
    /// losing everything behind it. Default false: the store does not open.
    pub cut_damaged_log: bool,
    /// Whether the store flushes, writes out and expires by itself. Simulations switch it off and call
    /// [`crate::Store::flush`] and [`crate::Store::keep_house`]. Default true.
    pub background: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            store_path_root_dir: PathBuf::from("store"),
            store_path_commit_log: None,
            mapped_file_size_commit_log: 1 << 30,
            mapped_file_size_consume_queue: 300_000 * UNIT_LEN as i64,
            enable_consume_queue_ext: false,
            mapped_file_size_consume_queue_ext: 48 << 20,
            flush_disk_type: FlushDiskType::AsyncFlush,
            flush_interval_commit_log: Duration::from_millis(500),
            flush_interval_consume_queue: Duration::from_secs(1),
            flush_consume_queue_thorough_interval: Duration::from_secs(60),
            clean_resource_interval: Duration::from_secs(10),
            file_reserved_time: 72,
            delete_when: "04".to_owned(),
            disk_max_used_space_ratio: 75,
            disk_space_clean_forcibly_ratio: 85,
            disk_space_warning_level_ratio: 90,
            clean_file_forcibly_enable: true,
            max_message_size: 4 << 20,
            check_crc_on_recover: true,
            max_transfer_bytes_on_message_in_memory: 256 * 1024,
            max_transfer_count_on_message_in_memory: 32,
            max_transfer_bytes_on_message_in_disk: 64 * 1024,
            max_transfer_count_on_message_in_disk: 8,
            access_message_in_memory_max_ratio: 40,
            memory_bytes: memory_bytes().unwrap_or(8 << 30),
            message_index_enable: true,
            max_hash_slot_num: 5_000_000,
            max_index_num: 20_000_000,
            max_msgs_num_batch: 64,
            message_delay_level: "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h".to_owned(),
            enable_multi_dispatch: false,
            enable_lmq: false,
            max_lmq_consume_queue_num: 20_000,
            store_host: SocketAddr::from((Ipv4Addr::LOCALHOST, 10911)),
            recent_bytes_max: 16 << 20,
            cut_damaged_log: false,
            background: true,
        }
    }
}

impl StoreConfig {
    /// The CommitLog's folder.
    pub fn commit_log_dir(&self) -> PathBuf {
        let unset = || self.store_path_root_dir.join("commitlog");
        self.store_path_commit_log.clone().unwrap_or_else(unset)
    }

    /// Bytes of a ConsumeQueue file: whole entries.
    pub fn consume_queue_file_len(&self) -> i64 {
        let unit = UNIT_LEN as i64;
        (self.mapped_file_size_consume_queue + unit - 1) / unit * unit
    }

    /// The delay of each level in milliseconds; level 1 comes first.
    ///
    /// # Errors
    /// Names the entry that is not a number with a unit of s, m, h or d.
    pub fn delay_levels(&self) -> Result<Vec<i64>, String> {
        self.message_delay_level.split(' ').map(delay_ms).collect()
    }
}

fn delay_ms(text: &str) -> Result<i64, String> {
    let unit_ms = match text.chars().last() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => return Err(format!("messageDelayLevel: {text:?} has no unit s, m, h or d")),
    };
    let number = text.get(..text.len() - 1).and_then(|number| number.parse::<i64>().ok());
    let delay = number.and_then(|number| number.checked_mul(unit_ms)).filter(|delay| *delay >= 0);
    delay.ok_or_else(|| format!("messageDelayLevel: {text:?} is not a number with a unit"))
}

/// The machine's memory as Linux tells it.
fn memory_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<i64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Java's table of 18 levels, and what a wrong one is told.
    #[test]
    fn delay_levels_are_parsed() {
        let mut config = StoreConfig::default();
        let levels = config.delay_levels().unwrap();
        assert_eq!((levels.len(), levels[0], levels[4], levels[17]), (18, 1_000, 60_000, 7_200_000));
        for wrong in ["1x", "", "s", "-1s", "1s  5s"] {
            config.message_delay_level = wrong.to_owned();
            assert!(config.delay_levels().is_err(), "{wrong:?}");
        }
    }
}
