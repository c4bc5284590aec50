//! The table of the Broker's settings.

use ferrocket_protocol::settings::{Setting, joined};
use ferrocket_remoting::{CLIENT_TLS_SETTINGS, SERVER_TLS_SETTINGS};

const DELAY_LEVELS: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
const INT_MAX: i64 = i32::MAX as i64;
const DAY_MS: i64 = 86_400_000;
/// The longest body that `maxMessageSize` may allow.
pub(super) const BODY_LEN_MAX: i64 = 15 << 20;

/// One row per key that means something here.
pub(super) const TABLE: &[Setting] = &joined::<
    { OWN.len() + SERVER_TLS_SETTINGS.len() + CLIENT_TLS_SETTINGS.len() },
>(&[OWN, SERVER_TLS_SETTINGS, CLIENT_TLS_SETTINGS]);

/// The rows but TLS's.
const OWN: &[Setting] = &[
    // Who this broker is.
    Setting::text("brokerClusterName", "DefaultCluster", "The cluster's name.").important(),
    Setting::text("brokerName", "", "The broker's name; empty takes the machine's.").important(),
    Setting::int("brokerId", "0", -1, i64::MAX, "Kept for Java's files: a master is always 0.").important(),
    Setting::one_of(
        "brokerRole",
        "ASYNC_MASTER",
        &["ASYNC_MASTER", "SYNC_MASTER", "SLAVE"],
        "A SYNC_MASTER tells each send that no slave has it; SLAVE is refused: there are none in this version.",
    )
    .important(),
    Setting::text("regionId", "DefaultRegion", "The region told to producers for their traces."),
    Setting::text("rocketmqHome", "", "RocketMQ's folder; only conf/plain_acl.yml is looked for there.")
        .important(),
    Setting::text(
        "brokerConfigPath",
        "",
        "The file that runtime updates are written into, the one of -c; empty keeps them until the next start.",
    ),
    Setting::int("filterServerNums", "0", 0, INT_MAX, "Kept for Java's tools."),
    Setting::boolean("slaveReadEnable", false, "Whether slow consumers are told to read from a slave.").hot(),
    Setting::boolean(
        "useTLS",
        false,
        "Whether NameServers are dialled with TLS; the same as tls.enable=true.",
    ),
    // Where it is reached.
    Setting::text("namesrvAddr", "", "NameServers, `host:port` with `;` between.").important().hot(),
    Setting::boolean(
        "fetchNamesrvAddrByAddressServer",
        false,
        "Whether a web server is asked for the NameServers, at the start and every two minutes, while namesrvAddr \
         names none.",
    ),
    Setting::text(
        "rmqAddressServerDomain",
        "",
        "That web server, `host` or `host:port` (8080 without port). Without a default; Java's is jmenv.tbsite.net.",
    ),
    Setting::text("rmqAddressServerSubGroup", "nsaddr", "What it is asked for: /rocketmq/ and this."),
    Setting::text("brokerIP1", "", "The address that clients are given; empty takes the machine's.")
        .important(),
    Setting::text("brokerIP2", "", "The address that slaves are given; empty takes brokerIP1.").important(),
    Setting::int(
        "listenPort",
        "10911",
        0,
        65_535,
        "The port; 0 takes a free one. Two below it, the same is served.",
    )
    .important(),
    Setting::text("bindAddress", "0.0.0.0", "The address of this machine to listen on."),
    Setting::int(
        "haListenPort",
        "10912",
        0,
        65_535,
        "Kept for Java's files: slaves are told listenPort + 1.",
    ),
    Setting::int(
        "serverChannelMaxIdleTimeSeconds",
        "120",
        1,
        INT_MAX,
        "A connection silent for so long is closed, s.",
    ),
    Setting::int("serverSocketBacklog", "1024", 1, 65_535, "Connections the system holds until accepted."),
    Setting::int("serverSocketSndBufSize", "0", 0, 1 << 30, "The send buffer in bytes; 0 is the system's."),
    Setting::int(
        "serverSocketRcvBufSize",
        "0",
        0,
        1 << 30,
        "The receive buffer in bytes; 0 is the system's.",
    ),
    Setting::boolean("compressedRegister", false, "Whether registrations are compressed.").hot(),
    Setting::boolean("forceRegister", true, "Whether to register every time, also what has not changed.")
        .hot(),
    Setting::int(
        "registerNameServerPeriod",
        "30000",
        1,
        INT_MAX,
        "Between registrations, ms; taken as 10,000 to 60,000.",
    )
    .hot(),
    Setting::int("registerBrokerTimeoutMills", "6000", 1, INT_MAX, "How long a registration may take, ms.")
        .hot(),
    // What clients may do.
    Setting::int("brokerPermission", "6", 0, 7, "For the whole broker: 4 read, 2 write.").important().hot(),
    Setting::boolean("autoCreateTopicEnable", true, "Whether a topic is created by its first message.")
        .important()
        .hot(),
    Setting::boolean(
        "autoCreateSubscriptionGroup",
        true,
        "Whether a consumer group is created by its first consumer.",
    )
    .important()
    .hot(),
    Setting::int(
        "defaultTopicQueueNums",
        "8",
        0,
        65_536,
        "Most queues of a topic that is created by a message.",
    ),
    Setting::boolean("clusterTopicEnable", true, "Whether the topic named like the cluster can be used."),
    Setting::boolean("brokerTopicEnable", true, "Whether the topic named like the broker can be used."),
    Setting::boolean("traceTopicEnable", false, "Whether the topic of traces is created at start.")
        .important(),
    Setting::text("msgTraceTopicName", "RMQ_SYS_TRACE_TOPIC", "The topic of traces."),
    Setting::boolean("traceOn", true, "Whether producers are told to trace.").hot(),
    Setting::boolean("rejectTransactionMessage", false, "Whether transactional messages are refused.")
        .important()
        .hot(),
    Setting::boolean(
        "checkProperties",
        false,
        "Ferrocket's own: whether messages are refused whose properties are broken by control characters.",
    )
    .hot(),
    Setting::int(
        "transactionTimeOut",
        "6000",
        0,
        DAY_MS,
        "How old a half message is when its producer is first asked about it, ms.",
    )
    .important()
    .hot(),
    Setting::int(
        "transactionCheckMax",
        "15",
        0,
        INT_MAX,
        "How often a producer is asked before the half message is given up.",
    )
    .important()
    .hot(),
    Setting::int(
        "transactionCheckInterval",
        "60000",
        100,
        DAY_MS,
        "Between two looks at half messages that nobody has ended, ms.",
    )
    .important()
    .hot(),
    Setting::boolean(
        "enablePropertyFilter",
        false,
        "Whether consumers may filter by properties, with SQL92 expressions.",
    )
    .important()
    .hot(),
    Setting::boolean(
        "filterSupportRetry",
        false,
        "Whether a group's filters apply to its retry topic as well: an expression that changed meanwhile \
         drops messages that wait there.",
    )
    .hot(),
    Setting::int(
        "filterDataCleanTimeSpan",
        "86400000",
        1,
        INT_MAX,
        "How long the filters of a group are kept when nobody of it is connected, ms.",
    )
    .hot(),
    Setting::boolean(
        "enableCalcFilterBitMap",
        false,
        "Whether messages are judged by the filters for their topic when they are stored, so that pulls need not \
         look at those that a filter does not want; needs `enableConsumeQueueExt`.",
    )
    .hot(),
    Setting::int(
        "maxErrorRateOfBloomFilter",
        "20",
        1,
        99,
        "Of 100 messages that a filter does not want, those that are looked at all the same.",
    ),
    Setting::int(
        "expectConsumerNumUseFilter",
        "32",
        1,
        20_000,
        "For how many filters of a topic that holds; each takes some bits in every message's entry.",
    ),
    Setting::boolean("aclEnable", false, "Whether requests need an account (ACL 1.0).").important(),
    Setting::text(
        "aclFile",
        "",
        "Ferrocket's own: the accounts; empty takes conf/plain_acl.yml in rocketmqHome.",
    ),
    Setting::text(
        "accessKey",
        "",
        "Ferrocket's own: the account that signs registrations; empty signs none.",
    ),
    Setting::text("secretKey", "", "Ferrocket's own: its secret; never shown to tools.").secret(),
    Setting::boolean("enableDLegerCommitLog", false, "Not possible in this version: true is refused."),
    Setting::int(
        "startAcceptSendRequestTimeStamp",
        "0",
        0,
        i64::MAX,
        "Sends before this time (ms since 1970) are refused.",
    )
    .hot(),
    // Consumers.
    Setting::boolean(
        "longPollingEnable",
        true,
        "Whether a pull waits for messages as long as its client asks.",
    )
    .hot(),
    Setting::int(
        "shortPollingTimeMills",
        "1000",
        1,
        DAY_MS,
        "How long a pull waits without longPollingEnable, ms.",
    )
    .hot(),
    Setting::boolean("notifyConsumerIdsChangedEnable", true, "Whether consumers are told to rebalance.")
        .important()
        .hot(),
    Setting::int(
        "flushConsumerOffsetInterval",
        "5000",
        100,
        DAY_MS,
        "Between saves of consumer offsets, ms.",
    ),
    Setting::boolean(
        "disableConsumeIfConsumerReadSlowly",
        false,
        "Whether a group that is too far behind may not consume until an operator enables it again.",
    )
    .hot(),
    Setting::int(
        "consumerFallbehindThreshold",
        "17179869184",
        0,
        i64::MAX,
        "Bytes of the CommitLog behind its end that are too far for that.",
    )
    .hot(),
    Setting::boolean(
        "diskFallRecorded",
        true,
        "Whether it is recorded how far behind pulls are; false disables no group.",
    )
    .hot(),
    Setting::boolean("storeReplyMessageEnable", true, "Whether replies are stored as well as pushed.").hot(),
    Setting::boolean("autoDeleteUnusedStats", false, "Whether counters go with their topic or group.").hot(),
    Setting::boolean(
        "enableDetailStat",
        true,
        "Whether delayed messages and the time of pulls are counted by queue (QUEUE_PUT_NUMS and the like).",
    ),
    Setting::boolean(
        "enableScheduleMessageStats",
        true,
        "Whether delivering a delayed message counts by topic, group and queue.",
    )
    .hot(),
    // Messages and delays.
    Setting::int("maxMessageSize", "4194304", 1, BODY_LEN_MAX, "Bytes of the longest body.").hot(),
    Setting::text(
        "messageDelayLevel",
        DELAY_LEVELS,
        "The delays of levels 1, 2, and so on, with units s, m, h, d.",
    ),
    Setting::int(
        "flushDelayOffsetInterval",
        "10000",
        100,
        DAY_MS,
        "Between saves of the delay levels' progress, ms.",
    ),
    Setting::int("syncFlushTimeout", "5000", 1, DAY_MS, "How long a send waits for its flush, ms.").hot(),
    Setting::int("maxTransferBytesOnMessageInMemory", "262144", 1, 15 << 20, "Bytes that one pull gets.")
        .hot(),
    Setting::int("maxTransferCountOnMessageInMemory", "32", 1, 65_536, "Messages that one pull gets.").hot(),
    Setting::int("maxTransferBytesOnMessageInDisk", "65536", 1, 15 << 20, "The same from far behind.").hot(),
    Setting::int("maxTransferCountOnMessageInDisk", "8", 1, 65_536, "The same from far behind.").hot(),
    Setting::int(
        "accessMessageInMemoryMaxRatio",
        "40",
        0,
        100,
        "Percent of memory; what lies further back is far behind.",
    )
    .hot(),
    Setting::int("defaultQueryMaxNum", "32", 1, 1024, "Most results of a query by unique key.").hot(),
    Setting::int("maxMsgsNumBatch", "64", 1, 1024, "Most results of a query by key.").hot(),
    Setting::boolean("messageIndexEnable", true, "Whether messages are found by their keys."),
    Setting::int("maxHashSlotNum", "5000000", 1, INT_MAX, "Hash slots of an index file."),
    Setting::int("maxIndexNum", "20000000", 2, INT_MAX, "Entries of an index file."),
    // The store.
    Setting::text("storePathRootDir", "${user.home}/store", "The folder of everything stored.").important(),
    Setting::text(
        "storePathCommitLog",
        "",
        "The folder of the CommitLog, one; empty takes `commitlog` in the root.",
    )
    .important(),
    Setting::text(
        "readOnlyCommitLogStorePaths",
        "",
        "Not possible in this version: more folders of the CommitLog are refused.",
    ),
    Setting::int("mappedFileSizeCommitLog", "1073741824", 4096, INT_MAX, "Bytes of a CommitLog segment."),
    Setting::int("mappedFileSizeConsumeQueue", "6000000", 20, INT_MAX, "Bytes of a ConsumeQueue file."),
    Setting::boolean(
        "enableConsumeQueueExt",
        false,
        "Whether entries of ConsumeQueues hold a place in `consumequeue_ext`, where there is room for a bit map.",
    ),
    Setting::int(
        "mappedFileSizeConsumeQueueExt",
        "50331648",
        64,
        INT_MAX,
        "Bytes of a file of `consumequeue_ext`.",
    ),
    Setting::one_of(
        "flushDiskType",
        "ASYNC_FLUSH",
        &["ASYNC_FLUSH", "SYNC_FLUSH"],
        "Whether a send is answered once the disk has the message.",
    )
    .important(),
    Setting::int("flushIntervalCommitLog", "500", 1, DAY_MS, "Between flushes with ASYNC_FLUSH, ms."),
    Setting::int("flushIntervalConsumeQueue", "1000", 1, DAY_MS, "Between writes of the ConsumeQueues, ms."),
    Setting::int(
        "flushConsumeQueueThoroughInterval",
        "60000",
        1,
        DAY_MS,
        "Between flushes of the ConsumeQueues, ms.",
    ),
    Setting::boolean(
        "cutDamagedLog",
        false,
        "Ferrocket's own: whether a log damaged where it had been on the disk is cut there, as Java does, \
         losing all behind it; otherwise the Broker does not start.",
    ),
    Setting::int("fileReservedTime", "72", 1, INT_MAX, "Hours that messages are kept.")
        .important()
        .hot(),
    Setting::text("deleteWhen", "04", "Hours of the day in which expired segments are deleted, `;` between.")
        .important()
        .hot(),
    Setting::int(
        "diskMaxUsedSpaceRatio",
        "75",
        10,
        95,
        "Percent of the disk from which deleting begins at any hour.",
    )
    .hot(),
    Setting::int(
        "diskSpaceCleanForciblyRatio",
        "85",
        10,
        100,
        "Percent from which segments go before they expire.",
    )
    .hot(),
    Setting::int("diskSpaceWarningLevelRatio", "90", 10, 100, "Percent above which nothing more is stored.")
        .hot(),
    Setting::boolean(
        "cleanFileForciblyEnable",
        true,
        "Whether a full disk costs messages that have not expired.",
    )
    .hot(),
    Setting::int("cleanResourceInterval", "10000", 100, DAY_MS, "Between looks for expired segments, ms."),
    Setting::boolean("checkCRCOnRecover", true, "Whether recovery compares each body with its checksum."),
    Setting::boolean(
        "enableMultiDispatch",
        false,
        "Whether a message is also listed in the queues that its property INNER_MULTI_DISPATCH names.",
    ),
    Setting::boolean("enableLmq", false, "Whether topics and groups that begin with `%LMQ%` are light ones."),
    Setting::int(
        "maxLmqConsumeQueueNum",
        "20000",
        0,
        INT_MAX,
        "Light queues; messages for further ones are refused.",
    ),
];
