//! The Broker's settings: the table, the typed values that handlers read, and changes while it runs.
//!
//! [`BrokerSettings`] is what a start command fills; [`LiveSettings`] is what a running Broker has: a snapshot
//! that is swapped whole. A runtime update changes what the table marks as hot and nothing else, and is written
//! into the file that the Broker was started with (Java writes all settings there, and no comments). Without
//! such a file it lasts until the next start. Java counterparts:
//! `BrokerConfig`, `MessageStoreConfig`, `NettyServerConfig`, `Configuration`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use ferrocket_acl::Access;
use ferrocket_protocol::Text;
use ferrocket_protocol::acl::Credentials;
use ferrocket_protocol::body::topic::DataVersion;
use ferrocket_protocol::settings::{
    JAVA_ONLY_KEYS, Setting, SettingError, Settings, Warning, parse_properties, replace_values,
};
use ferrocket_remoting::{AddressServer, ClientTls, ServerTls, TlsError};
use ferrocket_store::{ConfigFiles, FlushDiskType, OsDisk, StoreConfig};

use crate::bloom::BloomFilter;
use crate::topics::TopicSettings;

mod table;
mod without_effect;

/// Settings of a Broker that is about to start: Java's keys and defaults.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    settings: Settings,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        let mut settings = Settings::from_table(table::TABLE);
        // The default is taken from the machine, like Java's.
        let name = machine_name();
        settings
            .set("brokerName", &name)
            .unwrap_or_else(|error| panic!("a text row refused {name}: {error}"));
        Self { settings }
    }
}

impl BrokerSettings {
    /// The table of all settings.
    pub fn table() -> &'static [Setting] {
        table::TABLE
    }

    /// Java's settings that are accepted and do nothing here: why, and the keys.
    pub fn without_effect() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
        let has_row = |key: &&&str| table::TABLE.iter().any(|row| row.key == **key);
        let java_only = JAVA_ONLY_KEYS.iter().filter(|key| !has_row(key)).copied().collect();
        let tuned = "They tune Java's threads, the queues before them, Netty or mapped files, or do nothing in Java either.";
        without_effect::WITHOUT_EFFECT
            .iter()
            .map(|(why, keys)| (*why, keys.split_ascii_whitespace().collect()))
            .chain([(tuned, java_only)])
    }

    /// Takes the text of a `broker.conf`; answers what has no effect, in words.
    ///
    /// # Errors
    /// [`SettingError`] names key, value and what is allowed; nothing is changed then.
    pub fn load(&mut self, text: &str) -> Result<Vec<String>, SettingError> {
        let in_words = |warning: Warning| match warning {
            Warning::Unknown { key, .. } if not_here(&key) => {
                format!("{key} has no effect: this version does not have what it sets")
            }
            warning => warning.to_string(),
        };
        Ok(self.settings.load(text)?.into_iter().map(in_words).collect())
    }

    /// Takes a runtime update. What has no effect in a file has none here.
    fn update_hot(&mut self, text: &str) -> Result<Updated, SettingError> {
        let before = self.settings.clone();
        let mut without_effect = Vec::new();
        for (key, value) in parse_properties(text)? {
            match self.settings.set_hot(&key, &value) {
                Err(SettingError::Unknown { key, .. })
                    if not_here(&key) || JAVA_ONLY_KEYS.contains(&&*key) =>
                {
                    without_effect.push(key);
                }
                result => result?,
            }
        }
        let both = before.iter().zip(self.settings.iter());
        let changed = both.filter(|((_, old), (_, new))| old != new).map(|((row, _), _)| row.key).collect();
        Ok(Updated { changed, without_effect })
    }

    /// Sets one value.
    ///
    /// # Errors
    /// As [`BrokerSettings::load`]; also [`SettingError::Unknown`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        self.settings.set(key, value)
    }

    /// `key=value` lines of all settings, `mqbroker -p`.
    pub fn print_all(&self) -> String {
        self.settings.shown().print_all()
    }

    /// `key=value` lines of the important settings, `mqbroker -m`.
    pub fn print_important(&self) -> String {
        self.settings.print_important()
    }

    /// The accounts that requests need, if the settings ask for some. Blocks.
    pub(crate) fn access(&self) -> Result<Option<Access>, String> {
        let text = |key| self.settings.get_str(key);
        Access::for_settings(self.settings.get_bool("aclEnable"), text("aclFile"), text("rocketmqHome"))
    }

    /// The typed values, if they fit together.
    pub(crate) fn values(&self) -> Result<Values, InvalidSettings> {
        Values::new(&self.settings)
    }

    /// How ports take TLS, and how NameServers are dialled with it.
    pub(crate) fn tls(&self) -> Result<(Option<ServerTls>, Option<ClientTls>), TlsError> {
        let mut settings = self.settings.clone();
        if settings.get_bool("useTLS") {
            settings.set("tls.enable", "true")?;
        }
        Ok((ServerTls::from_settings(&settings)?, ClientTls::from_settings(&settings)?))
    }

    /// What the store is opened with; `store_host` goes into every record.
    pub(crate) fn store_config(&self, store_host: SocketAddr) -> Result<StoreConfig, InvalidSettings> {
        let settings = &self.settings;
        let (store_path_root_dir, store_path_commit_log) = store_paths(settings);
        let config = StoreConfig {
            store_path_root_dir,
            store_path_commit_log,
            mapped_file_size_commit_log: settings.get_i64("mappedFileSizeCommitLog"),
            mapped_file_size_consume_queue: settings.get_i64("mappedFileSizeConsumeQueue"),
            enable_consume_queue_ext: settings.get_bool("enableConsumeQueueExt"),
            mapped_file_size_consume_queue_ext: settings.get_i64("mappedFileSizeConsumeQueueExt"),
            flush_disk_type: match settings.get_str("flushDiskType") {
                "SYNC_FLUSH" => FlushDiskType::SyncFlush,
                _ => FlushDiskType::AsyncFlush,
            },
            flush_interval_commit_log: settings.get_millis("flushIntervalCommitLog"),
            flush_interval_consume_queue: settings.get_millis("flushIntervalConsumeQueue"),
            flush_consume_queue_thorough_interval: settings.get_millis("flushConsumeQueueThoroughInterval"),
            clean_resource_interval: settings.get_millis("cleanResourceInterval"),
            file_reserved_time: settings.get_i64("fileReservedTime"),
            delete_when: settings.get_str("deleteWhen").to_owned(),
            disk_max_used_space_ratio: settings.get_i64("diskMaxUsedSpaceRatio"),
            disk_space_clean_forcibly_ratio: settings.get_i64("diskSpaceCleanForciblyRatio"),
            disk_space_warning_level_ratio: settings.get_i64("diskSpaceWarningLevelRatio"),
            clean_file_forcibly_enable: settings.get_bool("cleanFileForciblyEnable"),
            // What a client may send is judged where it comes in: what was taken once still reaches its queue when
            // `maxMessageSize` is less by then.
            max_message_size: table::BODY_LEN_MAX as usize,
            check_crc_on_recover: settings.get_bool("checkCRCOnRecover"),
            max_transfer_bytes_on_message_in_memory: settings.get_usize("maxTransferBytesOnMessageInMemory"),
            max_transfer_count_on_message_in_memory: settings.get_usize("maxTransferCountOnMessageInMemory"),
            max_transfer_bytes_on_message_in_disk: settings.get_usize("maxTransferBytesOnMessageInDisk"),
            max_transfer_count_on_message_in_disk: settings.get_usize("maxTransferCountOnMessageInDisk"),
            access_message_in_memory_max_ratio: settings.get_i64("accessMessageInMemoryMaxRatio"),
            message_index_enable: settings.get_bool("messageIndexEnable"),
            max_hash_slot_num: settings.get_i32("maxHashSlotNum").unsigned_abs(),
            max_index_num: settings.get_i32("maxIndexNum").unsigned_abs(),
            max_msgs_num_batch: settings.get_usize("maxMsgsNumBatch"),
            message_delay_level: settings.get_str("messageDelayLevel").to_owned(),
            enable_multi_dispatch: settings.get_bool("enableMultiDispatch"),
            enable_lmq: settings.get_bool("enableLmq"),
            max_lmq_consume_queue_num: settings.get_usize("maxLmqConsumeQueueNum"),
            cut_damaged_log: settings.get_bool("cutDamagedLog"),
            store_host,
            ..StoreConfig::default()
        };
        config.delay_levels().map_err(InvalidSettings)?;
        check_hours(&config.delete_when).map_err(InvalidSettings)?;
        Ok(config)
    }
}

/// `04;05`: Java reads the hours only when it looks whether one has come, and fails there.
fn check_hours(delete_when: &str) -> Result<(), String> {
    let is_hour = |text: &str| text.trim().parse::<u8>().is_ok_and(|hour| hour < 24);
    match delete_when.split(';').find(|text| !is_hour(text)) {
        None => Ok(()),
        Some(wrong) => Err(format!(
            "deleteWhen={delete_when}: {wrong:?} is not an hour; allowed are 00 to 23, `;` between"
        )),
    }
}

/// The store's folder, and the CommitLog's if it is somewhere else.
fn store_paths(settings: &Settings) -> (PathBuf, Option<PathBuf>) {
    let path = |key: &str| PathBuf::from(expand_home(settings.get_str(key)));
    (path("storePathRootDir"), Some(path("storePathCommitLog")).filter(|path| !path.as_os_str().is_empty()))
}

fn not_here(key: &str) -> bool {
    let mut keys = without_effect::WITHOUT_EFFECT.iter().flat_map(|(_, keys)| keys.split_ascii_whitespace());
    keys.any(|known| known == key)
}

/// Settings that are fine one by one, but not together, or ask for what this version does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSettings(String);

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidSettings {}

/// The settings as handlers read them: one immutable snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    /// `brokerClusterName`.
    pub(crate) cluster: Text,
    /// `brokerName`.
    pub(crate) broker_name: Text,
    /// `brokerIP1`; empty takes the machine's address.
    pub(crate) broker_ip1: String,
    /// `brokerIP2`; empty takes `brokerIP1`.
    pub(crate) broker_ip2: String,
    /// `regionId`.
    pub(crate) region_id: Text,
    /// `namesrvAddr`.
    pub(crate) namesrv_addr: String,
    /// `fetchNamesrvAddrByAddressServer`.
    pub(crate) by_address_server: bool,
    /// Who is asked for NameServers; nobody while `namesrvAddr` names some.
    pub(crate) address_server: Option<AddressServer>,
    /// `accessKey` and `secretKey`.
    pub(crate) credentials: Option<Credentials>,
    /// `bindAddress` and `listenPort`.
    pub(crate) listen_addr: SocketAddr,
    /// `serverChannelMaxIdleTimeSeconds`.
    pub(crate) idle_timeout: Duration,
    /// `serverSocketBacklog`.
    pub(crate) backlog: i32,
    /// `serverSocketSndBufSize`; `None` leaves it to the system.
    pub(crate) send_buffer: Option<usize>,
    /// `serverSocketRcvBufSize`; `None` leaves it to the system.
    pub(crate) receive_buffer: Option<usize>,
    /// `compressedRegister`.
    pub(crate) compressed_register: bool,
    /// `forceRegister`.
    pub(crate) force_register: bool,
    /// `registerNameServerPeriod`.
    pub(crate) register_period: Duration,
    /// `registerBrokerTimeoutMills`.
    pub(crate) register_timeout: Duration,
    /// `brokerPermission`.
    pub(crate) permission: i32,
    /// `autoCreateTopicEnable`.
    pub(crate) auto_create_topic: bool,
    /// `autoCreateSubscriptionGroup`.
    pub(crate) auto_create_group: bool,
    /// `traceOn`.
    pub(crate) trace_on: bool,
    /// `startAcceptSendRequestTimeStamp`, ms since 1970.
    pub(crate) start_accept_send_ms: i64,
    /// `enablePropertyFilter`.
    pub(crate) property_filter: bool,
    /// `filterSupportRetry`.
    pub(crate) filter_support_retry: bool,
    /// `filterDataCleanTimeSpan`.
    pub(crate) filter_data_clean_ms: i64,
    /// `enableCalcFilterBitMap`.
    pub(crate) calc_filter_bit_map: bool,
    /// `maxErrorRateOfBloomFilter` and `expectConsumerNumUseFilter`.
    pub(crate) bloom: BloomFilter,
    /// `longPollingEnable`.
    pub(crate) long_polling: bool,
    /// `shortPollingTimeMills`.
    pub(crate) short_polling: Duration,
    /// `notifyConsumerIdsChangedEnable`.
    pub(crate) notify_consumer_ids_changed: bool,
    /// `flushConsumerOffsetInterval`.
    pub(crate) flush_consumer_offset_interval: Duration,
    /// `autoDeleteUnusedStats`.
    pub(crate) auto_delete_unused_stats: bool,
    /// `consumerFallbehindThreshold`, bytes; `None` if no group is disabled for being slow.
    pub(crate) behind_max: Option<i64>,
    /// `enableDetailStat`.
    pub(crate) detail_stat: bool,
    /// `enableScheduleMessageStats`.
    pub(crate) schedule_stats: bool,
    /// `storeReplyMessageEnable`.
    pub(crate) store_reply: bool,
    /// Whether `brokerRole` is SYNC_MASTER: sends hear that no slave has them.
    pub(crate) sync_master: bool,
    /// `slaveReadEnable`.
    pub(crate) slave_read: bool,
    /// `maxMessageSize`.
    pub(crate) max_message_size: usize,
    /// `flushDelayOffsetInterval`.
    pub(crate) flush_delay_offset_interval: Duration,
    /// `transactionTimeOut`.
    pub(crate) transaction_timeout_ms: i64,
    /// `transactionCheckMax`.
    pub(crate) transaction_checks_max: i32,
    /// `transactionCheckInterval`.
    pub(crate) transaction_check_interval: Duration,
    /// `rejectTransactionMessage`.
    pub(crate) reject_transaction: bool,
    /// `checkProperties`.
    pub(crate) check_properties: bool,
    /// `enableMultiDispatch`.
    pub(crate) multi_dispatch: bool,
    /// `fileReservedTime`.
    pub(crate) file_reserved_ms: i64,
    /// `syncFlushTimeout`.
    pub(crate) sync_flush_timeout: Duration,
    /// `defaultQueryMaxNum`.
    pub(crate) default_query_max_num: usize,
    /// How far behind the log's end a message counts as in memory: `accessMessageInMemoryMaxRatio` of it.
    pub(crate) near_bytes: i64,
    /// Where the CommitLog is, for what the runtime table says about the disk.
    pub(crate) commit_log_dir: PathBuf,
    /// What the built-in topics are made of.
    pub(crate) topics: TopicSettings,
}

impl Values {
    fn new(settings: &Settings) -> Result<Self, InvalidSettings> {
        let refuse = |words: String| Err(InvalidSettings(words));
        if settings.get_bool("enableDLegerCommitLog") {
            return refuse("enableDLegerCommitLog=true: this version does not have it".to_owned());
        }
        let role = settings.get_str("brokerRole");
        if role == "SLAVE" {
            return refuse(format!("brokerRole={role}: this version has masters only"));
        }
        for key in ["brokerClusterName", "brokerName"] {
            let name = settings.get_str(key);
            if crate::topics::validate(name).is_err() {
                return refuse(format!(
                    "{key}={name:?}: allowed are 1 to 127 of the characters %|a-zA-Z0-9_-"
                ));
            }
        }
        // Java spreads segments over several; taken for one folder's name, a store of Java's would seem empty.
        let log = settings.get_str("storePathCommitLog");
        let read_only = settings.get_str("readOnlyCommitLogStorePaths");
        for (key, paths, several) in [
            ("storePathCommitLog", log, log.contains(',')),
            ("readOnlyCommitLogStorePaths", read_only, !read_only.is_empty()),
        ] {
            if several {
                return refuse(format!(
                    "{key}={paths}: this version has one folder for the CommitLog; move the segments of all into it"
                ));
            }
        }
        let namesrv_addr = settings.get_str("namesrvAddr");
        for addr in namesrv_addr.split(';').map(str::trim).filter(|addr| !addr.is_empty()) {
            let port = addr
                .rsplit_once(':')
                .filter(|(host, _)| !host.is_empty())
                .map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(_))) {
                return refuse(format!("namesrvAddr={namesrv_addr:?}: {addr:?} is not host:port"));
            }
        }
        let by_address_server = settings.get_bool("fetchNamesrvAddrByAddressServer");
        let mut address_server = None;
        if by_address_server && namesrv_addr.is_empty() {
            let key = "rmqAddressServerDomain";
            let (domain, subgroup) = (settings.get_str(key), settings.get_str("rmqAddressServerSubGroup"));
            if domain.is_empty() {
                return refuse(format!(
                    "{key} is missing: fetchNamesrvAddrByAddressServer=true needs it without namesrvAddr"
                ));
            }
            address_server = AddressServer::new(domain, subgroup, None);
            if address_server.is_none() {
                return refuse(format!(
                    "{key}={domain:?} and rmqAddressServerSubGroup={subgroup:?} make no URL"
                ));
            }
        }
        let credentials = match (settings.get_str("accessKey"), settings.get_str("secretKey")) {
            ("", "") => None,
            ("", _) | (_, "") => return refuse("accessKey and secretKey: one without the other".to_owned()),
            (access_key, secret_key) => Some(Credentials::new(access_key, secret_key)),
        };
        let bind = settings.get_str("bindAddress");
        let Ok(bind) = bind.trim_matches(['[', ']']).parse::<IpAddr>() else {
            return refuse(format!("bindAddress={bind:?} is not an IP address"));
        };
        let port = u16::try_from(settings.get_i64("listenPort")).unwrap_or_default();
        let text = |key: &str| settings.get_str(key).to_owned();
        let flag = |key: &str| settings.get_bool(key);
        Ok(Self {
            cluster: text("brokerClusterName").into(),
            broker_name: text("brokerName").into(),
            broker_ip1: text("brokerIP1"),
            broker_ip2: text("brokerIP2"),
            region_id: text("regionId").into(),
            namesrv_addr: namesrv_addr.to_owned(),
            by_address_server,
            address_server,
            credentials,
            listen_addr: SocketAddr::new(bind, port),
            idle_timeout: Duration::from_secs(settings.get_usize("serverChannelMaxIdleTimeSeconds") as u64),
            backlog: settings.get_i32("serverSocketBacklog"),
            send_buffer: Some(settings.get_usize("serverSocketSndBufSize")).filter(|len| *len > 0),
            receive_buffer: Some(settings.get_usize("serverSocketRcvBufSize")).filter(|len| *len > 0),
            compressed_register: flag("compressedRegister"),
            force_register: flag("forceRegister"),
            register_period: settings.get_millis("registerNameServerPeriod"),
            register_timeout: settings.get_millis("registerBrokerTimeoutMills"),
            permission: settings.get_i32("brokerPermission"),
            auto_create_topic: flag("autoCreateTopicEnable"),
            auto_create_group: flag("autoCreateSubscriptionGroup"),
            trace_on: flag("traceOn"),
            start_accept_send_ms: settings.get_i64("startAcceptSendRequestTimeStamp"),
            property_filter: flag("enablePropertyFilter"),
            filter_support_retry: flag("filterSupportRetry"),
            filter_data_clean_ms: settings.get_i64("filterDataCleanTimeSpan"),
            calc_filter_bit_map: flag("enableCalcFilterBitMap"),
            bloom: BloomFilter::new(
                settings.get_i32("maxErrorRateOfBloomFilter"),
                settings.get_i32("expectConsumerNumUseFilter"),
            ),
            long_polling: flag("longPollingEnable"),
            short_polling: settings.get_millis("shortPollingTimeMills"),
            notify_consumer_ids_changed: flag("notifyConsumerIdsChangedEnable"),
            flush_consumer_offset_interval: settings.get_millis("flushConsumerOffsetInterval"),
            auto_delete_unused_stats: flag("autoDeleteUnusedStats"),
            behind_max: (flag("disableConsumeIfConsumerReadSlowly") && flag("diskFallRecorded"))
                .then(|| settings.get_i64("consumerFallbehindThreshold")),
            detail_stat: flag("enableDetailStat"),
            schedule_stats: flag("enableScheduleMessageStats"),
            store_reply: flag("storeReplyMessageEnable"),
            sync_master: role == "SYNC_MASTER",
            slave_read: flag("slaveReadEnable"),
            max_message_size: settings.get_usize("maxMessageSize"),
            flush_delay_offset_interval: settings.get_millis("flushDelayOffsetInterval"),
            transaction_timeout_ms: settings.get_i64("transactionTimeOut"),
            transaction_checks_max: settings.get_i32("transactionCheckMax"),
            transaction_check_interval: settings.get_millis("transactionCheckInterval"),
            reject_transaction: flag("rejectTransactionMessage"),
            check_properties: flag("checkProperties"),
            multi_dispatch: flag("enableMultiDispatch"),
            file_reserved_ms: settings.get_i64("fileReservedTime").saturating_mul(3_600_000),
            sync_flush_timeout: settings.get_millis("syncFlushTimeout"),
            default_query_max_num: settings.get_usize("defaultQueryMaxNum"),
            near_bytes: StoreConfig::default().memory_bytes / 100
                * settings.get_i64("accessMessageInMemoryMaxRatio"),
            commit_log_dir: {
                let (store_path_root_dir, store_path_commit_log) = store_paths(settings);
                StoreConfig { store_path_root_dir, store_path_commit_log, ..StoreConfig::default() }
                    .commit_log_dir()
            },
            topics: TopicSettings {
                cluster: text("brokerClusterName"),
                broker: text("brokerName"),
                default_queue_nums: settings.get_i32("defaultTopicQueueNums"),
                auto_create: flag("autoCreateTopicEnable"),
                cluster_topic: flag("clusterTopicEnable"),
                broker_topic: flag("brokerTopicEnable"),
                trace_topic: flag("traceTopicEnable").then(|| text("msgTraceTopicName")),
                light: flag("enableLmq"),
            },
        })
    }
}

/// What a runtime update did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Updated {
    /// The keys whose value is another one now.
    pub(crate) changed: Vec<&'static str>,
    /// The keys of Java's that it named and that do nothing here.
    pub(crate) without_effect: Vec<String>,
}

/// The settings of a running Broker.
#[derive(Debug)]
pub(crate) struct LiveSettings {
    /// Read by every request, so it is a lock of its own, held to clone the pointer.
    values: Mutex<Arc<Values>>,
    /// Held for one change.
    settings: Mutex<(BrokerSettings, DataVersion)>,
    /// Held while the file is replaced, so that an older text never replaces a newer one.
    saving: Mutex<()>,
}

impl LiveSettings {
    /// The settings of a Broker that starts with these.
    pub(crate) fn new(settings: BrokerSettings, now_ms: i64) -> Result<Self, InvalidSettings> {
        let values = Mutex::new(Arc::new(settings.values()?));
        let settings = Mutex::new((settings, DataVersion::new(now_ms)));
        Ok(Self { values, settings, saving: Mutex::default() })
    }

    /// The values as they are now.
    pub(crate) fn now(&self) -> Arc<Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, (BrokerSettings, DataVersion)> {
        // Settings are replaced whole.
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a runtime update, all of it or, on an error, nothing. `reconfigure` is given what the store is to obey
    /// from now on; two updates give it theirs in their order.
    pub(crate) fn update(
        &self,
        text: &str,
        now_ms: i64,
        reconfigure: impl FnOnce(StoreConfig),
    ) -> Result<Updated, UpdateError> {
        let mut current = self.lock();
        let mut changed = current.0.clone();
        let updated = changed.update_hot(text).map_err(UpdateError::Setting)?;
        let values = changed.values().map_err(UpdateError::Invalid)?;
        // The address that the store was opened with stays.
        reconfigure(changed.store_config(values.listen_addr).map_err(UpdateError::Invalid)?);
        current.0 = changed;
        current.1.advance(now_ms);
        *self.values.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(values);
        Ok(updated)
    }

    /// Whether there is a file that changes are written into.
    pub(crate) fn has_file(&self) -> bool {
        !self.lock().0.settings.get_str("brokerConfigPath").is_empty()
    }

    /// Writes these settings, as they are now, into the file that the Broker was started with. Blocks.
    pub(crate) fn save(&self, keys: &[&'static str]) -> io::Result<()> {
        let _writer = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = self.lock().0.settings.clone();
        // Where a link leads to is replaced, not the link.
        let path = std::fs::canonicalize(settings.get_str("brokerConfigPath"))?;
        let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, path.display().to_string()));
        };
        let files = ConfigFiles::new(Arc::new(OsDisk), dir.to_owned());
        // As at start: a file that is no UTF-8 is Java's Latin-1.
        let text = String::from_utf8(std::fs::read(&path)?)
            .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect());
        let values: Vec<_> = keys.iter().map(|key| (*key, settings.get_str(key))).collect();
        let text = replace_values(&text, &values).map_err(io::Error::other)?;
        files.replace(name, &text)
    }

    /// Sets what is only known once the Broker has started: an address, a port.
    pub(crate) fn set_found(&self, key: &str, value: &str) -> Result<(), SettingError> {
        self.lock().0.set(key, value)
    }

    /// All settings as a properties file, and their version.
    pub(crate) fn text(&self) -> (String, DataVersion) {
        let current = self.lock();
        (current.0.settings.shown().properties_text(), current.1)
    }
}

/// Why a runtime update is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpdateError {
    /// A key or a value is.
    Setting(SettingError),
    /// The values do not fit together.
    Invalid(InvalidSettings),
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(error) => error.fmt(f),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

/// Replaces what stands for the home folder in Java's files: `~` in front, `${user.home}` anywhere.
fn expand_home(path: &str) -> String {
    let home = std::env::var("HOME").unwrap_or_else(|_| ".".to_owned());
    let path = path.replace("${user.home}", &home);
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => path,
    }
}

/// The machine's name, with what a topic's name cannot hold replaced: the broker's name is also a topic.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fits = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let name: String = name.trim().chars().take(64).map(fits).collect();
    if name.is_empty() { "DEFAULT_BROKER".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table is consistent, and no key of Java's is listed both as having an effect and as having none.
    #[test]
    fn the_table_is_consistent() {
        let settings = BrokerSettings::default();
        settings.values().unwrap();
        settings.store_config(([127, 0, 0, 1], 1).into()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for key in BrokerSettings::without_effect().flat_map(|(_, keys)| keys) {
            assert!(BrokerSettings::table().iter().all(|row| row.key != key), "{key}");
            assert!(seen.insert(key), "{key} is listed twice");
        }
        assert!(!settings.values().unwrap().broker_name.is_empty());
    }

    /// A file as Java ships it starts unchanged, and everything without effect is named.
    #[test]
    fn loads_javas_file() {
        let mut settings = BrokerSettings::default();
        let warnings = settings
            .load("brokerClusterName = DefaultCluster\nbrokerName = broker-a\nbrokerId = 0\ndeleteWhen = 04\nfileReservedTime = 48\nbrokerRole = ASYNC_MASTER\nflushDiskType = ASYNC_FLUSH\nsendMessageThreadPoolNums=8\nhaHousekeepingInterval=20000\nbrokerNam=x\n")
            .unwrap();
        assert_eq!(
            warnings,
            [
                "sendMessageThreadPoolNums has no meaning here: it tunes the Java implementation",
                "haHousekeepingInterval has no effect: this version does not have what it sets",
                "unknown setting brokerNam, did you mean brokerName?",
            ]
        );
        let values = settings.values().unwrap();
        assert_eq!(
            (&*values.broker_name, values.permission, values.listen_addr.port()),
            ("broker-a", 6, 10911)
        );
        assert_eq!(settings.store_config(values.listen_addr).unwrap().file_reserved_time, 48);
    }

    /// What this version does not have is refused by name rather than silently not done.
    #[test]
    fn refuses_what_is_not_there() {
        for (key, value, words) in [
            ("accessKey", "broker-account", "accessKey and secretKey: one without the other"),
            ("brokerRole", "SLAVE", "brokerRole=SLAVE: this version has masters only"),
            (
                "storePathCommitLog",
                "/data/1,/data/2",
                "storePathCommitLog=/data/1,/data/2: this version has one folder for the CommitLog; move the \
                 segments of all into it",
            ),
            (
                "readOnlyCommitLogStorePaths",
                "/data/3",
                "readOnlyCommitLogStorePaths=/data/3: this version has one folder for the CommitLog; move the \
                 segments of all into it",
            ),
            (
                "fetchNamesrvAddrByAddressServer",
                "true",
                "rmqAddressServerDomain is missing: fetchNamesrvAddrByAddressServer=true needs it without \
                 namesrvAddr",
            ),
            ("namesrvAddr", "a:1;b", "namesrvAddr=\"a:1;b\": \"b\" is not host:port"),
            ("bindAddress", "x", "bindAddress=\"x\" is not an IP address"),
        ] {
            let mut settings = BrokerSettings::default();
            settings.set(key, value).unwrap();
            assert_eq!(settings.values().unwrap_err().to_string(), words);
        }
        let mut settings = BrokerSettings::default();
        settings.load("fetchNamesrvAddrByAddressServer=true\nrmqAddressServerDomain=a/b\n").unwrap();
        let error = settings.values().unwrap_err().to_string();
        assert_eq!(
            error,
            "rmqAddressServerDomain=\"a/b\" and rmqAddressServerSubGroup=\"nsaddr\" make no URL"
        );
        settings.set("namesrvAddr", "a:1").unwrap();
        assert_eq!(settings.values().unwrap().address_server, None);
        for (key, value) in [("messageDelayLevel", "1s 2x"), ("deleteWhen", "25"), ("deleteWhen", "04;four")]
        {
            let mut settings = BrokerSettings::default();
            settings.set(key, value).unwrap();
            let error = settings.store_config(([127, 0, 0, 1], 1).into()).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }

    /// Updates at runtime are an allow-list and come as a whole or not at all.
    #[test]
    fn runtime_updates() {
        let live = LiveSettings::new(BrokerSettings::default(), 1).unwrap();
        let update = |text: &str, now_ms| live.update(text, now_ms, drop);
        let updated =
            update("brokerPermission=4\ntraceOn=true\nbitMapLengthConsumeQueueExt=64\n", 2).unwrap();
        assert_eq!(updated.changed, ["brokerPermission"]);
        assert_eq!(updated.without_effect, ["bitMapLengthConsumeQueueExt"]);
        assert_eq!(live.now().permission, 4);
        assert_eq!(live.text().1.counter, 1);
        for refused in [
            "storePathRootDir=/x",
            "brokerName=x",
            "brokerPermission=9",
            "namesrvAddr=x",
            "nonsense=1",
            "deleteWhen=24",
            "flushDiskType=SYNC_FLUSH",
            "messageDelayLevel=1s",
        ] {
            assert!(update(&format!("brokerPermission=6\n{refused}"), 3).is_err(), "{refused}");
        }
        assert_eq!((live.now().permission, live.text().1.counter), (4, 1));
        assert!(live.text().0.contains("brokerPermission=4\n"));
    }

    /// What a store can take while it is open it is given at once, with the rest of the settings as they were.
    #[test]
    fn the_store_hears_of_updates() {
        let mut settings = BrokerSettings::default();
        settings.set("cleanResourceInterval", "1234").unwrap();
        let live = LiveSettings::new(settings, 1).unwrap();
        let mut given = None;
        let text = "fileReservedTime=1\ndeleteWhen=03;04\nmaxMessageSize=100\n";
        live.update(text, 2, |config| given = Some(config)).unwrap();
        let given = given.unwrap();
        assert_eq!((given.file_reserved_time, &*given.delete_when), (1, "03;04"));
        assert_eq!(live.now().max_message_size, 100);
        assert_eq!(given.clean_resource_interval, Duration::from_millis(1234));
        assert_eq!(live.now().file_reserved_ms, 3_600_000);
        live.update("fileReservedTime=2\ndeleteWhen=x", 3, |_| panic!("refused updates are not passed on"))
            .unwrap_err();
    }

    /// Both of Java's ways to write the home folder are understood.
    #[test]
    fn home_folders() {
        let home = std::env::var("HOME").unwrap();
        assert_eq!(expand_home("${user.home}/store"), format!("{home}/store"));
        assert_eq!(expand_home("~/store"), format!("{home}/store"));
        assert_eq!((expand_home("/data/~x"), expand_home("~x")), ("/data/~x".to_owned(), "~x".to_owned()));
    }
}
