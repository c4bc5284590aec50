//! The settings of all builders by key: Java's property names, what a value may be, the default, and what it means.
//!
//! Each row is written once. `set` of every builder reads it, and so do the book's page and the languages of the
//! bindings, whose arguments, types and comments are made of it. Keys are those of Java's `ClientConfig`,
//! `DefaultMQProducer`, `TransactionMQProducer`, `DefaultMQPushConsumer`, `DefaultLitePullConsumer` and
//! `DefaultMQPullConsumer`, and names of system properties where Java has no other. Times are in milliseconds where
//! the row does not say otherwise, as in Java.
//!
//! Left out: what is no text, such as listeners and hooks, and groups and subscriptions, which are named where a
//! builder is made.

use std::collections::BTreeMap;
use std::time::Duration;

use ferrocket_protocol::settings::SettingError;
use ferrocket_protocol::{LanguageCode, SerializeType, fastjson};
use ferrocket_remoting::SocksProxy;
use serde::Deserialize;

use crate::allocate::{Averagely, AveragelyByCircle, ConsistentHash};
use crate::config::ClientBuilder;
use crate::error::Result;
use crate::lite_pull_consumer::LitePullConsumerBuilder;
use crate::producer::{CompressionType, MESSAGE_LEN_MAX, ProducerBuilder, TransactionProducerBuilder};
use crate::pull_consumer::PullConsumerBuilder;
use crate::push_consumer::{ConsumeFromWhere, MessageModel, PushConsumerBuilder};
use crate::validate::config;

pub use ferrocket_protocol::settings::{Kind, Setting};

/// Java's numbers and times are `int`s.
const INT_MAX: i64 = i32::MAX as i64;

/// A row, and what it does to a builder.
struct Row<B: 'static> {
    setting: Setting,
    apply: Apply<B>,
}

/// What is done with a value that the row's kind allows. A text that is refused says what is allowed.
enum Apply<B: 'static> {
    Text(fn(B, &str) -> Result<B, &'static str>),
    Int(fn(B, i64) -> B),
    Bool(fn(B, bool) -> B),
}

impl<B> Row<B> {
    const fn text(
        key: &'static str,
        default: &'static str,
        doc: &'static str,
        apply: fn(B, &str) -> Result<B, &'static str>,
    ) -> Self {
        Self { setting: Setting::text(key, default, doc), apply: Apply::Text(apply) }
    }

    const fn word(
        key: &'static str,
        default: &'static str,
        words: &'static [&'static str],
        doc: &'static str,
        apply: fn(B, &str) -> Result<B, &'static str>,
    ) -> Self {
        Self { setting: Setting::one_of(key, default, words, doc), apply: Apply::Text(apply) }
    }

    const fn int(
        key: &'static str,
        default: &'static str,
        (min, max): (i64, i64),
        doc: &'static str,
        apply: fn(B, i64) -> B,
    ) -> Self {
        Self { setting: Setting::int(key, default, min, max, doc), apply: Apply::Int(apply) }
    }

    const fn boolean(key: &'static str, default: bool, doc: &'static str, apply: fn(B, bool) -> B) -> Self {
        Self { setting: Setting::boolean(key, default, doc), apply: Apply::Bool(apply) }
    }
}

type Rows<B> = &'static [&'static [Row<B>]];

fn settings<B>(rows: Rows<B>) -> impl Iterator<Item = &'static Setting> {
    rows.iter().copied().flatten().map(|row| &row.setting)
}

/// Has the row of this key take a value.
fn set<B>(builder: B, rows: Rows<B>, key: &str, value: &str) -> Result<B> {
    let Some(row) = rows.iter().copied().flatten().find(|row| row.setting.key == key) else {
        return Err(unknown(key, settings(rows)));
    };
    let accepted = row.setting.accept(value).map_err(|error| config(error.to_string()))?;
    // The kind was looked at.
    match row.apply {
        Apply::Int(apply) => Ok(apply(builder, accepted.parse().unwrap_or_default())),
        Apply::Bool(apply) => Ok(apply(builder, accepted == "true")),
        Apply::Text(apply) => apply(builder, &accepted).map_err(|allowed| {
            // A proxy's text has its password.
            let shown = if key == "socksProxyConfig" { "..." } else { &accepted };
            config(SettingError::value(row.setting.key, shown, allowed.to_owned()).to_string())
        }),
    }
}

fn unknown(key: &str, known: impl Iterator<Item = &'static Setting>) -> crate::Error {
    config(SettingError::unknown(key, known).to_string())
}

/// The tables by the name of what is set up: `client`, `producer`, `transaction_producer`, `push_consumer`,
/// `lite_pull_consumer` and `pull_consumer`. That of transactions has the producer's rows, too.
///
/// ```
/// for (builder, rows) in ferrocket::settings::tables() {
///     for row in rows {
///         println!("{builder}: {} (default {:?}): {}", row.key, row.default, row.doc);
///     }
/// }
/// ```
pub fn tables() -> [(&'static str, Vec<&'static Setting>); 6] {
    [
        ("client", ClientBuilder::settings().collect()),
        ("producer", ProducerBuilder::settings().collect()),
        ("transaction_producer", TransactionProducerBuilder::settings().collect()),
        ("push_consumer", PushConsumerBuilder::settings().collect()),
        ("lite_pull_consumer", LitePullConsumerBuilder::settings().collect()),
        ("pull_consumer", PullConsumerBuilder::settings().collect()),
    ]
}

macro_rules! settable {
    ($($builder:ty: $rows:expr;)+) => {
        $(impl $builder {
            /// Sets one of the [`settings`](Self::settings) by its key.
            ///
            /// ```
            /// use ferrocket::Client;
            ///
            /// let client = Client::builder("127.0.0.1:9876").set("instanceName", "billing-1")?.build()?;
            /// let producer = client.producer("order-service").set("sendMsgTimeout", "5000")?;
            /// let error = producer.set("sendMsgTimout", "5000").unwrap_err();
            /// assert_eq!(error.to_string(), "unknown setting sendMsgTimout, did you mean sendMsgTimeout?");
            /// # Ok::<(), ferrocket::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`ErrorKind::Config`](crate::ErrorKind::Config) names the nearest key, or key, value and what is
            /// allowed.
            pub fn set(self, key: &str, value: &str) -> Result<Self> {
                set(self, $rows, key, value)
            }

            /// The rows that [`set`](Self::set) knows: keys are Java's.
            pub fn settings() -> impl Iterator<Item = &'static Setting> {
                settings($rows)
            }
        })+
    };
}

settable! {
    ClientBuilder: CLIENT;
    ProducerBuilder: PRODUCER;
    PushConsumerBuilder: PUSH;
    LitePullConsumerBuilder: LITE_PULL;
    PullConsumerBuilder: PULL;
}

impl TransactionProducerBuilder {
    /// Sets one of the [`settings`](Self::settings) by its key.
    ///
    /// # Errors
    /// As [`ProducerBuilder::set`].
    pub fn set(mut self, key: &str, value: &str) -> Result<Self> {
        if settings(TRANSACTION).any(|setting| setting.key == key) {
            return set(self, TRANSACTION, key, value);
        }
        if !ProducerBuilder::settings().any(|setting| setting.key == key) {
            return Err(unknown(key, Self::settings()));
        }
        self.producer = self.producer.set(key, value)?;
        Ok(self)
    }

    /// The rows that [`set`](Self::set) knows: keys are Java's.
    pub fn settings() -> impl Iterator<Item = &'static Setting> {
        ProducerBuilder::settings().chain(settings(TRANSACTION))
    }
}

/// What a row of numbers allowed, as the builder takes it.
fn count<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

fn millis(number: i64) -> Duration {
    Duration::from_millis(number.unsigned_abs())
}

/// The builder with another value in a field that has no method of its own.
fn with<B, T>(mut builder: B, field: fn(&mut B) -> &mut T, value: T) -> B {
    *field(&mut builder) = value;
    builder
}

/// A number that -1 takes away.
fn unless_negative<T: TryFrom<i64>>(number: i64) -> Option<T> {
    Some(number).filter(|number| *number >= 0).and_then(|number| T::try_from(number).ok())
}

fn unless_empty(text: &str) -> Option<String> {
    Some(text).filter(|text| !text.is_empty()).map(str::to_owned)
}

const CLIENT: Rows<ClientBuilder> = &[&[
    Row::text(
        "namesrvAddr",
        "",
        "The NameServers, `host:port` with `;` between; empty takes the environment variable `NAMESRV_ADDR`.",
        |b, value| Ok(with(b, |b| &mut b.namesrv_addr, value.to_owned())),
    ),
    Row::text(
        "accessKey",
        "",
        "The account that signs every request, for clusters with access control.",
        |b, value| Ok(b.account(|account| value.clone_into(&mut account.0))),
    ),
    Row::text("secretKey", "", "The account's secret.", |b, value| {
        Ok(b.account(|account| value.clone_into(&mut account.1)))
    }),
    Row::boolean("useTLS", false, "Whether NameServers and brokers are talked to through TLS.", |b, on| {
        with(b, |b| &mut b.tls_settings.enable, on)
    }),
    Row::boolean(
        "tls.client.authServer",
        false,
        "Whether a server's certificate must be issued by one of tls.client.trustCertPath.",
        |b, on| with(b, |b| &mut b.tls_settings.auth_server, on),
    ),
    Row::text(
        "tls.client.trustCertPath",
        "",
        "The file of the certificates that issue the servers' ones, PEM.",
        |b, value| Ok(with(b, |b| &mut b.tls_settings.trust_cert_path, value.to_owned())),
    ),
    Row::boolean(
        "tls.client.anyHostName",
        false,
        "Whether a trusted certificate is taken whatever host it was issued for. Java never looks at the host.",
        |b, on| with(b, |b| &mut b.tls_settings.any_host_name, on),
    ),
    Row::text(
        "tls.client.certPath",
        "",
        "The file of the certificate to show to servers, and its chain, PEM.",
        |b, value| Ok(with(b, |b| &mut b.tls_settings.cert_path, value.to_owned())),
    ),
    Row::text(
        "tls.client.keyPath",
        "",
        "The file of the private key of tls.client.certPath, PEM.",
        |b, value| Ok(with(b, |b| &mut b.tls_settings.key.0, value.to_owned())),
    ),
    Row::text("tls.client.keyPassword", "", "The password of that key, if it is encrypted.", |b, value| {
        Ok(with(b, |b| &mut b.tls_settings.key.1, value.to_owned()))
    }),
    Row::text(
        "namespace",
        "",
        "Put before the names of topics and groups on their way to the cluster, and taken away on their way back.",
        |b, value| Ok(b.namespace(value)),
    ),
    Row::text(
        "instanceName",
        "",
        "The part of the client id after `@`; empty is made of process id and start time. Two clients of one group \
         must not share it.",
        |b, value| Ok(with(b, |b| &mut b.config.instance_name, unless_empty(value))),
    ),
    Row::text(
        "clientIP",
        "",
        "The address in the client id and in message ids; empty is that of the interface which leads to the first \
         NameServer.",
        |mut b, value| {
            b.client_ip = match value {
                "" => None,
                ip => Some(ip.parse().map_err(|_| "an IP address")?),
            };
            Ok(b)
        },
    ),
    Row::text("unitName", "", "Appended to the client id.", |b, value| {
        Ok(with(b, |b| &mut b.config.unit_name, unless_empty(value)))
    }),
    Row::boolean(
        "unitMode",
        false,
        "Tells brokers that the client belongs to one unit of several.",
        ClientBuilder::unit_mode,
    ),
    Row::boolean(
        "vipChannelEnabled",
        false,
        "Sends to the brokers' second port, which is two below the first.",
        ClientBuilder::vip_channel_enabled,
    ),
    Row::int(
        "pollNameServerInterval",
        "30000",
        (1, INT_MAX),
        "Time between two refreshes of all routes, ms.",
        |b, ms| b.poll_name_server_interval(millis(ms)),
    ),
    Row::int(
        "heartbeatBrokerInterval",
        "30000",
        (1, INT_MAX),
        "Time between two heartbeats to all brokers, ms.",
        |b, ms| b.heartbeat_broker_interval(millis(ms)),
    ),
    Row::int(
        "mqClientApiTimeout",
        "3000",
        (1, INT_MAX),
        "How long one call takes at most, other than sends and pulls, ms.",
        |b, ms| b.mq_client_api_timeout(millis(ms)),
    ),
    Row::int("connectTimeoutMillis", "3000", (1, INT_MAX), "How long a dial may take, ms.", |b, ms| {
        with(b, |b| &mut b.config.remoting.connect_timeout, millis(ms))
    }),
    Row::int(
        "backPressureForAsyncSendNum",
        "10000",
        (1, INT_MAX),
        "Most messages under way at once, over all producers of the client; further sends wait.",
        |b, messages| b.in_flight_max(count(messages)),
    ),
    Row::int(
        "backPressureForAsyncSendSize",
        "104857600",
        (1, INT_MAX),
        "Most bytes of messages under way at once, over all producers of the client; further sends wait.",
        |b, bytes| b.in_flight_bytes_max(count(bytes)),
    ),
    Row::boolean(
        "enableTrace",
        false,
        "Whether what this client sends and consumes, and how transactions end, is recorded in the trace topic.",
        ClientBuilder::enable_trace,
    ),
    Row::text("traceTopic", "RMQ_SYS_TRACE_TOPIC", "The topic of traces.", |b, value| {
        Ok(b.trace_topic(value))
    }),
    Row::word(
        "language",
        "JAVA",
        &["JAVA", "CPP", "DOTNET", "PYTHON", "OTHER", "GO", "PHP", "RUST", "NODE_JS"],
        "What brokers are told the client is written in; Java brokers before 4.9.2 do not know all of them.",
        |b, word| Ok(b.language(LanguageCode::from_name(word))),
    ),
    Row::int(
        "version",
        "409",
        (0, INT_MAX),
        "The version that peers are told, Java's ordinal of `MQVersion.Version`; 409 is 4.9.8.",
        |b, version| b.version(count(version)),
    ),
    Row::word(
        "rocketmq.serialize.type",
        "JSON",
        &["JSON", "ROCKETMQ"],
        "How headers are written; the binary form, ROCKETMQ, is shorter.",
        |b, word| {
            Ok(b.serialize_type(if word == "JSON" { SerializeType::Json } else { SerializeType::RocketMq }))
        },
    ),
    Row::text(
        "rocketmq.namesrv.domain",
        "",
        "The web server, `host` or `host:port`, that is asked where the NameServers are when none are given.",
        |b, value| Ok(with(b, |b| &mut b.config.namesrv_domain, unless_empty(value))),
    ),
    Row::text(
        "rocketmq.namesrv.domain.subgroup",
        "nsaddr",
        "The last part of the path asked for there.",
        |b, value| Ok(b.namesrv_domain_subgroup(value)),
    ),
    Row::text(
        "socksProxyConfig",
        "",
        "The SOCKS5 proxy that everything is dialled through, as Java writes it: \
         `{\"0.0.0.0/0\":{\"addr\":\"host:port\",\"username\":\"\",\"password\":\"\"}}`.",
        |b, value| Ok(with(b, |b| &mut b.socks_proxy, socks_proxy(value)?)),
    ),
]];

/// Java's form of proxies, by the peers' addresses; one for all is taken.
fn socks_proxy(text: &str) -> Result<Option<SocksProxy>, &'static str> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Proxy {
        addr: String,
        username: String,
        password: String,
    }
    const ALLOWED: &str = r#"{"0.0.0.0/0":{"addr":"host:port"}}, with username and password or without"#;
    if text.is_empty() {
        return Ok(None);
    }
    let mut proxies: BTreeMap<String, Proxy> = fastjson::from_slice(text.as_bytes()).map_err(|_| ALLOWED)?;
    match (proxies.remove("0.0.0.0/0"), proxies.is_empty()) {
        (None, true) => Ok(None),
        (Some(Proxy { addr, username, password }), true) if addr.contains(':') => {
            let proxy = SocksProxy::new(addr);
            Ok(Some(if username.is_empty() { proxy } else { proxy.login(username, password) }))
        }
        _ => Err(ALLOWED),
    }
}

const PRODUCER: Rows<ProducerBuilder> = &[&[
    Row::int(
        "sendMsgTimeout",
        "3000",
        (1, INT_MAX),
        "How long a send takes at most, all attempts together, ms.",
        |b, ms| b.send_msg_timeout(millis(ms)),
    ),
    Row::int(
        "sendMsgMaxTimeoutPerRequest",
        "-1",
        (-1, INT_MAX),
        "How long one attempt takes at most while another may follow, ms; -1 for all the time that is left.",
        |b, ms| b.send_msg_max_timeout_per_request(unless_negative(ms).map(Duration::from_millis)),
    ),
    Row::int(
        "retryTimesWhenSendFailed",
        "2",
        (0, INT_MAX),
        "How often a failed send that is awaited is tried again, on another broker where there is one.",
        |b, times| b.retries(count(times)),
    ),
    Row::int(
        "retryTimesWhenSendAsyncFailed",
        "2",
        (0, INT_MAX),
        "How often a failed send that is queued is tried again, on another broker where there is one.",
        |b, times| b.enqueue_retries(count(times)),
    ),
    Row::boolean(
        "retryAnotherBrokerWhenNotStoreOK",
        false,
        "Whether a message that was stored with another status than SEND_OK is sent to another broker as well.",
        ProducerBuilder::retry_another_broker_when_not_store_ok,
    ),
    Row::int(
        "compressMsgBodyOverHowmuch",
        "4096",
        (0, INT_MAX),
        "Bodies of this many bytes and more are compressed.",
        |b, bytes| b.compress_msg_body_over_howmuch(count(bytes)),
    ),
    Row::word("compressType", "ZLIB", &["ZLIB", "LZ4", "ZSTD"], "How they are compressed.", |b, word| {
        Ok(b.compress_type(match word {
            "ZLIB" => CompressionType::Zlib,
            #[cfg(feature = "lz4")]
            "LZ4" => CompressionType::Lz4,
            #[cfg(feature = "zstd")]
            "ZSTD" => CompressionType::Zstd,
            _ => return Err("what this build has (features `lz4` and `zstd`)"),
        }))
    }),
    Row::int(
        "compressLevel",
        "5",
        (0, 22),
        "0 (stored) to 9 (smallest) for ZLIB, 1 to 22 for ZSTD; LZ4 has none.",
        |b, level| b.compress_level(count(level)),
    ),
    Row::int(
        "maxMessageSize",
        "4194304",
        (1, MESSAGE_LEN_MAX as i64),
        "Largest body, and largest batch, in bytes; brokers have their own limit.",
        |b, bytes| b.max_message_size(count(bytes)),
    ),
    Row::boolean(
        "sendLatencyFaultEnable",
        false,
        "Whether brokers that were slow or failing are avoided for a while.",
        ProducerBuilder::send_latency_fault_enable,
    ),
    Row::boolean(
        "autoBatch",
        false,
        "Whether sends that are ready for the same topic travel as one batch, each with a receipt of its own.",
        ProducerBuilder::auto_batch,
    ),
    Row::int(
        "batchMaxBytes",
        "32768",
        (1, MESSAGE_LEN_MAX as i64),
        "How large such a batch gets, in bytes.",
        |b, bytes| b.batch_max_bytes(count(bytes)),
    ),
    Row::int(
        "totalBatchMaxBytes",
        "33554432",
        (1, 1 << 30),
        "Bytes of messages that wait for such a batch; further sends wait.",
        |b, bytes| b.total_batch_max_bytes(count(bytes)),
    ),
    Row::text(
        "createTopicKey",
        "TBW102",
        "The topic whose settings a topic takes over that its first message creates.",
        |b, value| Ok(b.create_topic_key(value)),
    ),
    Row::int(
        "defaultTopicQueueNums",
        "4",
        (1, 65_536),
        "Queues per broker of a topic that its first message creates.",
        |b, queues| b.default_topic_queue_nums(count(queues)),
    ),
]];

const TRANSACTION: Rows<TransactionProducerBuilder> = &[&[
    Row::int(
        "checkThreadPoolMaxSize",
        "1",
        (1, 1 << 29),
        "Checks of transactions that run at once.",
        |b, checks| b.check_thread_pool_max_size(count(checks)),
    ),
    Row::int(
        "checkRequestHoldMax",
        "2000",
        (1, 1 << 29),
        "Checks that wait or run; brokers ask again about further ones.",
        |b, checks| b.check_request_hold_max(count(checks)),
    ),
]];

/// The rows of builders with the field `settings`: of `every` one, of those for `subscribing` consumers, and of
/// those that pull `on_demand`.
macro_rules! rows {
    (every) => {
        &[
            Row::word(
                "messageModel",
                "CLUSTERING",
                &["CLUSTERING", "BROADCASTING"],
                "Whether each message goes to one consumer of the group or to all.",
                |b, word| Ok(b.message_model(MessageModel::from_name(word))),
            ),
            Row::word(
                "allocateMessageQueueStrategy",
                "AVG",
                &["AVG", "AVG_BY_CIRCLE", "CONSISTENT_HASH"],
                "How queues are divided within the group, whose consumers must all use the same.",
                |b, word| {
                    Ok(match word {
                        "AVG_BY_CIRCLE" => b.allocate(AveragelyByCircle),
                        "CONSISTENT_HASH" => b.allocate(ConsistentHash::default()),
                        _ => b.allocate(Averagely),
                    })
                },
            ),
            Row::text(
                "rocketmq.client.localOffsetStoreDir",
                "",
                "Folder of a broadcasting consumer's offsets; empty is `.rocketmq_offsets` in the home directory.",
                |b, value| Ok(with(b, |b| &mut b.settings.offset_dir, unless_empty(value).map(Into::into))),
            ),
        ]
    };
    (subscribing) => {
        &[
            Row::word(
                "consumeFromWhere",
                "CONSUME_FROM_LAST_OFFSET",
                &["CONSUME_FROM_LAST_OFFSET", "CONSUME_FROM_FIRST_OFFSET", "CONSUME_FROM_TIMESTAMP"],
                "Where a group without stored offset begins.",
                |b, word| Ok(b.consume_from(ConsumeFromWhere::from_name(word))),
            ),
            Row::text(
                "consumeTimestamp",
                "",
                "The time for CONSUME_FROM_TIMESTAMP: `yyyyMMddHHmmss` in UTC (Java: the machine's zone), or ms since \
                 1970; empty is 30 minutes before the start.",
                |mut b, value| {
                    if !value.is_empty() {
                        b.settings.consume_timestamp_ms = timestamp(value).ok_or("yyyyMMddHHmmss, or ms since 1970")?;
                    }
                    Ok(b)
                },
            ),
            Row::int(
                "pullThresholdForQueue",
                "1000",
                (1, 65_535),
                "Pulling of a queue pauses with more messages in memory.",
                |b, messages| b.pull_threshold_for_queue(count(messages)),
            ),
            Row::int(
                "pullThresholdSizeForQueue",
                "100",
                (1, 1024),
                "Pulling of a queue pauses with more MiB in memory.",
                |b, mib| b.pull_threshold_size_for_queue(count(mib)),
            ),
            Row::int(
                "rocketmq.client.rebalance.waitInterval",
                "20000",
                (1, INT_MAX),
                "Time between two divisions of queues when nobody came or went, ms.",
                |b, ms| b.rebalance_interval(millis(ms)),
            ),
            Row::int(
                "pullTimeDelayMillsWhenException",
                "1000",
                (0, INT_MAX),
                "Pause after a failed pull, ms.",
                |b, ms| b.pull_time_delay_when_exception(millis(ms)),
            ),
        ]
    };
    (on_demand) => {
        &[
            Row::int(
                "brokerSuspendMaxTimeMillis",
                "20000",
                (1, INT_MAX),
                "How long a broker holds a pull that may wait and finds nothing, ms.",
                |b, ms| b.broker_suspend_max_time(millis(ms)),
            ),
            Row::int(
                "consumerTimeoutMillisWhenSuspend",
                "30000",
                (1, INT_MAX),
                "How long such a pull waits for its answer, at least as long as the broker may hold it, ms.",
                |b, ms| b.consumer_timeout_when_suspend(millis(ms)),
            ),
        ]
    };
}

const PUSH: Rows<PushConsumerBuilder> = &[
    rows!(every),
    rows!(subscribing),
    &[
        Row::int("consumeThreadMax", "20", (1, 1000), "Handlers at work at once.", |b, handlers| {
            b.concurrency(count(handlers))
        }),
        Row::int("consumeThreadMin", "20", (1, 1000), "The same: the last of both counts.", |b, handlers| {
            b.concurrency(count(handlers))
        }),
        Row::int(
            "consumeConcurrentlyMaxSpan",
            "2000",
            (1, 65_535),
            "Pulling of a queue pauses when its oldest and newest message in memory are further apart; not for orderly \
             consumers.",
            |b, offsets| b.consume_concurrently_max_span(count(offsets)),
        ),
        Row::int(
            "pullThresholdForTopic",
            "-1",
            (-1, 6_553_500),
            "Messages in memory over all queues, of which each queue gets an equal part; -1 for none.",
            |b, messages| with(b, |b| &mut b.settings.pull_threshold_for_topic, unless_negative(messages)),
        ),
        Row::int(
            "pullThresholdSizeForTopic",
            "-1",
            (-1, 102_400),
            "MiB in memory over all queues, of which each queue gets an equal part; -1 for none.",
            |b, mib| with(b, |b| &mut b.settings.pull_threshold_size_for_topic, unless_negative(mib)),
        ),
        Row::int("pullInterval", "0", (0, 65_535), "Pause between two pulls of a queue, ms.", |b, ms| {
            b.pull_interval(millis(ms))
        }),
        Row::int("pullBatchSize", "32", (1, 1024), "Messages per pull.", |b, messages| {
            b.pull_batch_size(count(messages))
        }),
        Row::int(
            "consumeMessageBatchMaxSize",
            "1",
            (1, 1024),
            "Messages per call of a handler that takes several.",
            |b, messages| b.consume_message_batch_max_size(count(messages)),
        ),
        Row::boolean(
            "postSubscriptionWhenPull",
            false,
            "Whether every pull carries the expression of the subscription.",
            PushConsumerBuilder::post_subscription_when_pull,
        ),
        Row::int(
            "maxReconsumeTimes",
            "-1",
            (-1, 65_535),
            "How often a failed message comes again before it becomes a dead letter; -1 is 16 times, in orderly \
             consumption without end.",
            |b, times| with(b, |b| &mut b.settings.max_reconsume_times, unless_negative(times)),
        ),
        Row::int(
            "suspendCurrentQueueTimeMillis",
            "1000",
            (0, INT_MAX),
            "Pause of an orderly queue after a failure, kept between 10 ms and 30 s, ms.",
            |b, ms| b.suspend_current_queue_time(millis(ms)),
        ),
        Row::int(
            "consumeTimeout",
            "15",
            (1, INT_MAX / 60_000),
            "A message whose handler runs longer is given back to the broker for another try, in minutes; not for \
             orderly consumers.",
            |b, minutes| b.consume_timeout(millis(minutes * 60_000)),
        ),
        Row::boolean(
            "autoCommit",
            true,
            "Whether an orderly handler's success commits at once, or only its answer to commit.",
            PushConsumerBuilder::auto_commit,
        ),
        Row::int(
            "awaitTerminationMillisWhenShutdown",
            "30000",
            (0, INT_MAX),
            "How long a shutdown waits for running handlers, ms (Java: 0, which abandons them).",
            |b, ms| b.await_termination_when_shutdown(millis(ms)),
        ),
        Row::int(
            "persistConsumerOffsetInterval",
            "5000",
            (1, INT_MAX),
            "Time between two commits of offsets, ms.",
            |b, ms| b.persist_consumer_offset_interval(millis(ms)),
        ),
    ],
];

const LITE_PULL: Rows<LitePullConsumerBuilder> = &[
    rows!(every),
    rows!(subscribing),
    rows!(on_demand),
    &[
        Row::boolean(
            "autoCommit",
            true,
            "Whether a poll commits what the polls before it handed out, or only a call to commit does.",
            LitePullConsumerBuilder::auto_commit,
        ),
        Row::int(
            "autoCommitIntervalMillis",
            "5000",
            (1000, INT_MAX),
            "Time between two stores of what is committed, ms.",
            |b, ms| b.auto_commit_interval(millis(ms)),
        ),
        Row::int(
            "pullBatchSize",
            "10",
            (1, 1024),
            "Messages per pull, and per poll at most.",
            |b, messages| b.pull_batch_size(count(messages)),
        ),
        Row::int(
            "pullThresholdForAll",
            "10000",
            (1, INT_MAX),
            "Pulling pauses with more messages of all queues in memory.",
            |b, messages| b.pull_threshold_for_all(count(messages)),
        ),
        Row::int(
            "consumeMaxSpan",
            "2000",
            (1, 65_535),
            "Pulling of a queue pauses when its oldest and newest message in memory are further apart.",
            |b, offsets| b.consume_max_span(count(offsets)),
        ),
    ],
];

const PULL: Rows<PullConsumerBuilder> = &[
    rows!(every),
    rows!(on_demand),
    &[
        Row::int(
            "consumerPullTimeoutMillis",
            "10000",
            (1, INT_MAX),
            "How long a pull that does not wait for messages waits for its answer, ms.",
            |b, ms| b.consumer_pull_timeout(millis(ms)),
        ),
        Row::int(
            "maxReconsumeTimes",
            "16",
            (0, 65_535),
            "How often a message that was sent back comes again before it becomes a dead letter.",
            |b, times| b.max_reconsume_times(count(times)),
        ),
    ],
];

/// `yyyyMMddHHmmss` in UTC, or ms since 1970, as ms since 1970.
fn timestamp(text: &str) -> Option<i64> {
    if text.len() > 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if text.len() < 14 {
        return text.parse().ok();
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 719_469;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt;

    use super::*;
    use crate::client::Client;
    use crate::consumer::Settings;
    use crate::error::ErrorKind;
    use crate::message::MessageExt;
    use crate::producer::LocalTransactionState;

    /// Everything that rows can change, for the comparison of two.
    impl fmt::Debug for Settings {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let whole = (
                (self.message_model, self.consume_from_where, self.strategy.name(), self.concurrency),
                (self.consume_max_span, self.pull_threshold_for_queue, self.pull_threshold_size_for_queue),
                (
                    self.pull_threshold_for_topic,
                    self.pull_threshold_size_for_topic,
                    self.pull_threshold_for_all,
                ),
                (self.pull_interval, self.pull_batch_size, self.broker_suspend_max, self.pull_timeout),
                (
                    self.consume_message_batch_max_size,
                    self.post_subscription_when_pull,
                    self.max_reconsume_times,
                ),
                (
                    self.suspend_current_queue_time,
                    self.consume_timeout,
                    self.auto_commit,
                    self.await_termination,
                ),
                (
                    self.persist_interval,
                    self.rebalance_interval,
                    self.pull_delay_on_failure,
                    &self.offset_dir,
                ),
                // Half an hour ago is another time for each.
                self.consume_timestamp_ms < 1_000_000,
            );
            write!(f, "{whole:?}")
        }
    }

    fn client() -> Client {
        Client::builder("127.0.0.1:9876").client_ip([10, 0, 0, 1].into()).build().unwrap()
    }

    async fn check(_: MessageExt) -> LocalTransactionState {
        LocalTransactionState::Unknown
    }

    /// A value that the row allows and that is not its default.
    fn other(row: &Setting) -> String {
        match row.kind {
            Kind::Bool => (row.default != "true").to_string(),
            Kind::Int { min, max } => if row.default == max.to_string() { min } else { max }.to_string(),
            // The last ones need features.
            Kind::OneOf(words) => words[usize::from(words[0] == row.default)].to_owned(),
            Kind::Text => match row.key {
                "clientIP" => "10.0.0.2".to_owned(),
                "consumeTimestamp" => "7".to_owned(),
                "socksProxyConfig" => r#"{"0.0.0.0/0":{"addr":"h:1"}}"#.to_owned(),
                _ => "x".to_owned(),
            },
        }
    }

    /// Each default is the builder's own, each row changes something, and its default brings that back.
    #[track_caller]
    fn rows_hold<B>(
        fresh: impl Fn() -> B,
        set: impl Fn(B, &str, &str) -> Result<B>,
        show: impl Fn(&B) -> String,
        rows: impl Iterator<Item = &'static Setting>,
    ) {
        let mut keys = BTreeSet::new();
        for row in rows {
            assert!(keys.insert(row.key), "{} occurs twice", row.key);
            assert!(row.doc.ends_with('.') && !row.doc.contains('|'), "{}", row.key);
            let default = set(fresh(), row.key, row.default).unwrap();
            assert_eq!(show(&default), show(&fresh()), "the default of {}", row.key);
            if row.key == "compressType" && cfg!(not(feature = "lz4")) {
                continue;
            }
            let changed = set(fresh(), row.key, &other(row)).unwrap();
            assert_ne!(show(&changed), show(&fresh()), "{} does nothing", row.key);
            if row.key != "consumeTimestamp" {
                let back = set(changed, row.key, row.default).unwrap();
                assert_eq!(show(&back), show(&fresh()), "{} does not come back", row.key);
            }
        }
    }

    /// All six tables say what their builders do.
    #[test]
    fn tables_hold() {
        let client = client();
        rows_hold(
            || ClientBuilder::new(""),
            ClientBuilder::set,
            |b| format!("{b:?} {:?}", b.account.as_ref().map(|account| &account.1)),
            ClientBuilder::settings(),
        );
        let producer = || client.producer("g");
        rows_hold(producer, ProducerBuilder::set, |b| format!("{b:?}"), ProducerBuilder::settings());
        rows_hold(
            || producer().check_local_transaction(check),
            TransactionProducerBuilder::set,
            |b| format!("{:?} {:?}", b.producer, (b.check_request_hold_max, b.check_thread_pool_max_size)),
            TransactionProducerBuilder::settings(),
        );
        rows_hold(
            || client.push_consumer("g"),
            PushConsumerBuilder::set,
            |b| format!("{:?}", b.settings),
            PushConsumerBuilder::settings(),
        );
        rows_hold(
            || client.lite_pull_consumer("g"),
            LitePullConsumerBuilder::set,
            |b| format!("{:?}", b.settings),
            LitePullConsumerBuilder::settings(),
        );
        rows_hold(
            || client.pull_consumer("g"),
            PullConsumerBuilder::set,
            |b| format!("{:?} {:?}", b.settings, b.consumer_pull_timeout),
            PullConsumerBuilder::settings(),
        );
    }

    /// A wrong key names the nearest one, a wrong value key, value and what is allowed; secrets are not shown.
    #[test]
    fn refusals_say_what_is_allowed() {
        let refused = |key: &str, value: &str| {
            let error = client().producer("g").check_local_transaction(check).set(key, value).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Config);
            error.to_string()
        };
        assert_eq!(
            refused("sendMsgTimout", "1"),
            "unknown setting sendMsgTimout, did you mean sendMsgTimeout?"
        );
        assert_eq!(
            refused("checkRequestHold", "1"),
            "unknown setting checkRequestHold, did you mean checkRequestHoldMax?"
        );
        assert_eq!(refused("x", "1"), "unknown setting x");
        assert_eq!(
            refused("sendMsgTimeout", "0"),
            "sendMsgTimeout=\"0\" is refused, allowed is a number from 1 to 2147483647"
        );
        assert_eq!(refused("autoBatch", "yes"), "autoBatch=\"yes\" is refused, allowed is true or false");
        assert!(refused("compressType", "GZIP").ends_with("allowed is ZLIB or LZ4 or ZSTD"));
        let error = ClientBuilder::new("").set("clientIP", "here").unwrap_err();
        assert_eq!(error.to_string(), "clientIP=\"here\" is refused, allowed is an IP address");
        let error = ClientBuilder::new("").set("socksProxyConfig", r#"{"password":"p"}"#).unwrap_err();
        assert!(!error.to_string().contains("\"p\""), "{error}");
    }

    /// What belongs together is looked at when the client is built.
    #[test]
    fn settings_that_need_each_other() {
        let refused = |rows: &[(&str, &str)]| {
            let builder = ClientBuilder::new("127.0.0.1:9876");
            let builder =
                rows.iter().try_fold(builder, |builder, (key, value)| builder.set(key, value)).unwrap();
            builder.build().unwrap_err().to_string()
        };
        assert!(refused(&[("accessKey", "a")]).contains("secretKey"));
        if cfg!(feature = "tls") {
            assert!(refused(&[("useTLS", "true"), ("tls.client.trustCertPath", "a")]).contains("authServer"));
            assert!(
                refused(&[("useTLS", "true"), ("tls.client.authServer", "true")]).contains("trustCertPath")
            );
            assert!(refused(&[("useTLS", "true"), ("tls.client.certPath", "a")]).contains("keyPath"));
            assert!(refused(&[("useTLS", "true"), ("tls.client.keyPassword", "a")]).contains("keyPath"));
            let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../remoting/testdata/keys");
            let (cert, key) = (format!("{keys}/certificate.pem"), format!("{keys}/openssl-3.pem"));
            let mut rows =
                vec![("useTLS", "true"), ("tls.client.certPath", &*cert), ("tls.client.keyPath", &*key)];
            assert!(refused(&rows).ends_with("tls.client.keyPassword is not set"));
            rows.push(("tls.client.keyPassword", "pass"));
            assert!(refused(&rows).ends_with("tls.client.keyPassword is not its password"));
            rows.push(("tls.client.keyPassword", "pass word"));
            let built =
                rows.iter().try_fold(ClientBuilder::new("127.0.0.1:9876"), |b, (k, v)| b.set(k, v)).unwrap();
            assert!(!format!("{built:?}").contains("pass word"), "{built:?}");
            let trusting = [("useTLS", "true"), ("tls.client.authServer", "true")];
            let absent = refused(&[trusting[0], trusting[1], ("tls.client.trustCertPath", "absent.pem")]);
            assert!(absent.contains("absent.pem"), "{absent}");
        } else {
            assert!(refused(&[("useTLS", "true")]).contains("feature `tls`"));
        }
        assert!(refused(&[("tls.client.authServer", "true")]).contains("useTLS"));
    }

    /// Java's text of a time, in UTC.
    #[test]
    fn timestamps_are_read() {
        for (text, ms) in [
            ("19700101000000", Some(0)),
            ("20240229235959", Some(1_709_251_199_000)),
            ("20251231000001", Some(1_767_139_201_000)),
            ("1767139201000", Some(1_767_139_201_000)),
            ("20251331000000", None),
            ("2025-12-31", None),
            ("123456789012345", None),
        ] {
            assert_eq!(timestamp(text), ms, "{text}");
        }
    }
}
