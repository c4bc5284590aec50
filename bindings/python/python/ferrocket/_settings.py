"""Settings as keyword arguments, each with its type and default.

Written by client/tests/it/generated.rs from the client's tables.
"""

from datetime import timedelta
from typing import Literal, TypedDict


class ClientSettings(TypedDict, total=False):
    """Settings of a client."""

    access_key: str
    """The account that signs every request, for clusters with access control."""

    secret_key: str
    """The account's secret."""

    use_tls: bool
    """Whether NameServers and brokers are talked to through TLS. Default: `False`."""

    tls_client_auth_server: bool
    """Whether a server's certificate must be issued by one of tls.client.trustCertPath. Default:
    `False`."""

    tls_client_trust_cert_path: str
    """The file of the certificates that issue the servers' ones, PEM."""

    tls_client_any_host_name: bool
    """Whether a trusted certificate is taken whatever host it was issued for. Java never looks at
    the host. Default: `False`."""

    tls_client_cert_path: str
    """The file of the certificate to show to servers, and its chain, PEM."""

    tls_client_key_path: str
    """The file of the private key of tls.client.certPath, PEM."""

    tls_client_key_password: str
    """The password of that key, if it is encrypted."""

    namespace: str
    """Put before the names of topics and groups on their way to the cluster, and taken away on their
    way back."""

    instance_name: str
    """The part of the client id after `@`; empty is made of process id and start time. Two clients
    of one group must not share it."""

    client_ip: str
    """The address in the client id and in message ids; empty is that of the interface which leads to
    the first NameServer."""

    unit_name: str
    """Appended to the client id."""

    unit_mode: bool
    """Tells brokers that the client belongs to one unit of several. Default: `False`."""

    vip_channel_enabled: bool
    """Sends to the brokers' second port, which is two below the first. Default: `False`."""

    poll_name_server_interval: int | timedelta
    """Time between two refreshes of all routes, ms. From 1 to 2147483647. Default: 30000."""

    heartbeat_broker_interval: int | timedelta
    """Time between two heartbeats to all brokers, ms. From 1 to 2147483647. Default: 30000."""

    mq_client_api_timeout: int | timedelta
    """How long one call takes at most, other than sends and pulls, ms. From 1 to 2147483647.
    Default: 3000."""

    connect_timeout_millis: int | timedelta
    """How long a dial may take, ms. From 1 to 2147483647. Default: 3000."""

    back_pressure_for_async_send_num: int
    """Most messages under way at once, over all producers of the client; further sends wait. From 1
    to 2147483647. Default: 10000."""

    back_pressure_for_async_send_size: int
    """Most bytes of messages under way at once, over all producers of the client; further sends
    wait. From 1 to 2147483647. Default: 104857600."""

    enable_trace: bool
    """Whether what this client sends and consumes, and how transactions end, is recorded in the
    trace topic. Default: `False`."""

    trace_topic: str
    """The topic of traces. Default: `RMQ_SYS_TRACE_TOPIC`."""

    language: Literal["JAVA", "CPP", "DOTNET", "PYTHON", "OTHER", "GO", "PHP", "RUST", "NODE_JS"]
    """What brokers are told the client is written in; Java brokers before 4.9.2 do not know all of
    them. Default: `JAVA`."""

    version: int
    """The version that peers are told, Java's ordinal of `MQVersion.Version`; 409 is 4.9.8. From 0
    to 2147483647. Default: 409."""

    serialize_type: Literal["JSON", "ROCKETMQ"]
    """How headers are written; the binary form, ROCKETMQ, is shorter. Default: `JSON`."""

    namesrv_domain: str
    """The web server, `host` or `host:port`, that is asked where the NameServers are when none are
    given."""

    namesrv_domain_subgroup: str
    """The last part of the path asked for there. Default: `nsaddr`."""

    socks_proxy_config: str
    """The SOCKS5 proxy that everything is dialled through, as Java writes it:
    `{"0.0.0.0/0":{"addr":"host:port","username":"","password":""}}`."""


class ProducerSettings(TypedDict, total=False):
    """Settings of a producer."""

    send_msg_timeout: int | timedelta
    """How long a send takes at most, all attempts together, ms. From 1 to 2147483647. Default:
    3000."""

    send_msg_max_timeout_per_request: int | timedelta
    """How long one attempt takes at most while another may follow, ms; -1 for all the time that is
    left. From -1 to 2147483647. Default: -1."""

    retry_times_when_send_failed: int
    """How often a failed send that is awaited is tried again, on another broker where there is one.
    From 0 to 2147483647. Default: 2."""

    retry_times_when_send_async_failed: int
    """How often a failed send that is queued is tried again, on another broker where there is one.
    From 0 to 2147483647. Default: 2."""

    retry_another_broker_when_not_store_ok: bool
    """Whether a message that was stored with another status than SEND_OK is sent to another broker
    as well. Default: `False`."""

    compress_msg_body_over_howmuch: int
    """Bodies of this many bytes and more are compressed. From 0 to 2147483647. Default: 4096."""

    compress_type: Literal["ZLIB", "LZ4", "ZSTD"]
    """How they are compressed. Default: `ZLIB`."""

    compress_level: int
    """0 (stored) to 9 (smallest) for ZLIB, 1 to 22 for ZSTD; LZ4 has none. From 0 to 22. Default:
    5."""

    max_message_size: int
    """Largest body, and largest batch, in bytes; brokers have their own limit. From 1 to 15728640.
    Default: 4194304."""

    send_latency_fault_enable: bool
    """Whether brokers that were slow or failing are avoided for a while. Default: `False`."""

    auto_batch: bool
    """Whether sends that are ready for the same topic travel as one batch, each with a receipt of
    its own. Default: `False`."""

    batch_max_bytes: int
    """How large such a batch gets, in bytes. From 1 to 15728640. Default: 32768."""

    total_batch_max_bytes: int
    """Bytes of messages that wait for such a batch; further sends wait. From 1 to 1073741824.
    Default: 33554432."""

    create_topic_key: str
    """The topic whose settings a topic takes over that its first message creates. Default:
    `TBW102`."""

    default_topic_queue_nums: int
    """Queues per broker of a topic that its first message creates. From 1 to 65536. Default: 4."""


class TransactionProducerSettings(ProducerSettings, total=False):
    """Settings of a transaction producer."""

    check_thread_pool_max_size: int
    """Checks of transactions that run at once. From 1 to 536870912. Default: 1."""

    check_request_hold_max: int
    """Checks that wait or run; brokers ask again about further ones. From 1 to 536870912. Default:
    2000."""


class PushConsumerSettings(TypedDict, total=False):
    """Settings of a push consumer."""

    message_model: Literal["CLUSTERING", "BROADCASTING"]
    """Whether each message goes to one consumer of the group or to all. Default: `CLUSTERING`."""

    allocate_message_queue_strategy: Literal["AVG", "AVG_BY_CIRCLE", "CONSISTENT_HASH"]
    """How queues are divided within the group, whose consumers must all use the same. Default:
    `AVG`."""

    local_offset_store_dir: str
    """Folder of a broadcasting consumer's offsets; empty is `.rocketmq_offsets` in the home
    directory."""

    consume_from_where: Literal[
        "CONSUME_FROM_LAST_OFFSET", "CONSUME_FROM_FIRST_OFFSET", "CONSUME_FROM_TIMESTAMP"
    ]
    """Where a group without stored offset begins. Default: `CONSUME_FROM_LAST_OFFSET`."""

    consume_timestamp: str
    """The time for CONSUME_FROM_TIMESTAMP: `yyyyMMddHHmmss` in UTC (Java: the machine's zone), or ms
    since 1970; empty is 30 minutes before the start."""

    pull_threshold_for_queue: int
    """Pulling of a queue pauses with more messages in memory. From 1 to 65535. Default: 1000."""

    pull_threshold_size_for_queue: int
    """Pulling of a queue pauses with more MiB in memory. From 1 to 1024. Default: 100."""

    rebalance_wait_interval: int | timedelta
    """Time between two divisions of queues when nobody came or went, ms. From 1 to 2147483647.
    Default: 20000."""

    pull_time_delay_mills_when_exception: int | timedelta
    """Pause after a failed pull, ms. From 0 to 2147483647. Default: 1000."""

    consume_thread_max: int
    """Handlers at work at once. From 1 to 1000. Default: 20."""

    consume_thread_min: int
    """The same: the last of both counts. From 1 to 1000. Default: 20."""

    consume_concurrently_max_span: int
    """Pulling of a queue pauses when its oldest and newest message in memory are further apart; not
    for orderly consumers. From 1 to 65535. Default: 2000."""

    pull_threshold_for_topic: int
    """Messages in memory over all queues, of which each queue gets an equal part; -1 for none. From
    -1 to 6553500. Default: -1."""

    pull_threshold_size_for_topic: int
    """MiB in memory over all queues, of which each queue gets an equal part; -1 for none. From -1 to
    102400. Default: -1."""

    pull_interval: int | timedelta
    """Pause between two pulls of a queue, ms. From 0 to 65535. Default: 0."""

    pull_batch_size: int
    """Messages per pull. From 1 to 1024. Default: 32."""

    consume_message_batch_max_size: int
    """Messages per call of a handler that takes several. From 1 to 1024. Default: 1."""

    post_subscription_when_pull: bool
    """Whether every pull carries the expression of the subscription. Default: `False`."""

    max_reconsume_times: int
    """How often a failed message comes again before it becomes a dead letter; -1 is 16 times, in
    orderly consumption without end. From -1 to 65535. Default: -1."""

    suspend_current_queue_time_millis: int | timedelta
    """Pause of an orderly queue after a failure, kept between 10 ms and 30 s, ms. From 0 to
    2147483647. Default: 1000."""

    consume_timeout: int
    """A message whose handler runs longer is given back to the broker for another try, in minutes;
    not for orderly consumers. From 1 to 35791. Default: 15."""

    auto_commit: bool
    """Whether an orderly handler's success commits at once, or only its answer to commit. Default:
    `True`."""

    await_termination_millis_when_shutdown: int | timedelta
    """How long a shutdown waits for running handlers, ms (Java: 0, which abandons them). From 0 to
    2147483647. Default: 30000."""

    persist_consumer_offset_interval: int | timedelta
    """Time between two commits of offsets, ms. From 1 to 2147483647. Default: 5000."""


class LitePullConsumerSettings(TypedDict, total=False):
    """Settings of a lite pull consumer."""

    message_model: Literal["CLUSTERING", "BROADCASTING"]
    """Whether each message goes to one consumer of the group or to all. Default: `CLUSTERING`."""

    allocate_message_queue_strategy: Literal["AVG", "AVG_BY_CIRCLE", "CONSISTENT_HASH"]
    """How queues are divided within the group, whose consumers must all use the same. Default:
    `AVG`."""

    local_offset_store_dir: str
    """Folder of a broadcasting consumer's offsets; empty is `.rocketmq_offsets` in the home
    directory."""

    consume_from_where: Literal[
        "CONSUME_FROM_LAST_OFFSET", "CONSUME_FROM_FIRST_OFFSET", "CONSUME_FROM_TIMESTAMP"
    ]
    """Where a group without stored offset begins. Default: `CONSUME_FROM_LAST_OFFSET`."""

    consume_timestamp: str
    """The time for CONSUME_FROM_TIMESTAMP: `yyyyMMddHHmmss` in UTC (Java: the machine's zone), or ms
    since 1970; empty is 30 minutes before the start."""

    pull_threshold_for_queue: int
    """Pulling of a queue pauses with more messages in memory. From 1 to 65535. Default: 1000."""

    pull_threshold_size_for_queue: int
    """Pulling of a queue pauses with more MiB in memory. From 1 to 1024. Default: 100."""

    rebalance_wait_interval: int | timedelta
    """Time between two divisions of queues when nobody came or went, ms. From 1 to 2147483647.
    Default: 20000."""

    pull_time_delay_mills_when_exception: int | timedelta
    """Pause after a failed pull, ms. From 0 to 2147483647. Default: 1000."""

    broker_suspend_max_time_millis: int | timedelta
    """How long a broker holds a pull that may wait and finds nothing, ms. From 1 to 2147483647.
    Default: 20000."""

    consumer_timeout_millis_when_suspend: int | timedelta
    """How long such a pull waits for its answer, at least as long as the broker may hold it, ms.
    From 1 to 2147483647. Default: 30000."""

    auto_commit: bool
    """Whether a poll commits what the polls before it handed out, or only a call to commit does.
    Default: `True`."""

    auto_commit_interval_millis: int | timedelta
    """Time between two stores of what is committed, ms. From 1000 to 2147483647. Default: 5000."""

    pull_batch_size: int
    """Messages per pull, and per poll at most. From 1 to 1024. Default: 10."""

    pull_threshold_for_all: int
    """Pulling pauses with more messages of all queues in memory. From 1 to 2147483647. Default:
    10000."""

    consume_max_span: int
    """Pulling of a queue pauses when its oldest and newest message in memory are further apart. From
    1 to 65535. Default: 2000."""


KEYS: dict[str, str] = {
    "access_key": "accessKey",
    "allocate_message_queue_strategy": "allocateMessageQueueStrategy",
    "auto_batch": "autoBatch",
    "auto_commit": "autoCommit",
    "auto_commit_interval_millis": "autoCommitIntervalMillis",
    "await_termination_millis_when_shutdown": "awaitTerminationMillisWhenShutdown",
    "back_pressure_for_async_send_num": "backPressureForAsyncSendNum",
    "back_pressure_for_async_send_size": "backPressureForAsyncSendSize",
    "batch_max_bytes": "batchMaxBytes",
    "broker_suspend_max_time_millis": "brokerSuspendMaxTimeMillis",
    "check_request_hold_max": "checkRequestHoldMax",
    "check_thread_pool_max_size": "checkThreadPoolMaxSize",
    "client_ip": "clientIP",
    "compress_level": "compressLevel",
    "compress_msg_body_over_howmuch": "compressMsgBodyOverHowmuch",
    "compress_type": "compressType",
    "connect_timeout_millis": "connectTimeoutMillis",
    "consume_concurrently_max_span": "consumeConcurrentlyMaxSpan",
    "consume_from_where": "consumeFromWhere",
    "consume_max_span": "consumeMaxSpan",
    "consume_message_batch_max_size": "consumeMessageBatchMaxSize",
    "consume_thread_max": "consumeThreadMax",
    "consume_thread_min": "consumeThreadMin",
    "consume_timeout": "consumeTimeout",
    "consume_timestamp": "consumeTimestamp",
    "consumer_timeout_millis_when_suspend": "consumerTimeoutMillisWhenSuspend",
    "create_topic_key": "createTopicKey",
    "default_topic_queue_nums": "defaultTopicQueueNums",
    "enable_trace": "enableTrace",
    "heartbeat_broker_interval": "heartbeatBrokerInterval",
    "instance_name": "instanceName",
    "language": "language",
    "local_offset_store_dir": "rocketmq.client.localOffsetStoreDir",
    "max_message_size": "maxMessageSize",
    "max_reconsume_times": "maxReconsumeTimes",
    "message_model": "messageModel",
    "mq_client_api_timeout": "mqClientApiTimeout",
    "namespace": "namespace",
    "namesrv_domain": "rocketmq.namesrv.domain",
    "namesrv_domain_subgroup": "rocketmq.namesrv.domain.subgroup",
    "persist_consumer_offset_interval": "persistConsumerOffsetInterval",
    "poll_name_server_interval": "pollNameServerInterval",
    "post_subscription_when_pull": "postSubscriptionWhenPull",
    "pull_batch_size": "pullBatchSize",
    "pull_interval": "pullInterval",
    "pull_threshold_for_all": "pullThresholdForAll",
    "pull_threshold_for_queue": "pullThresholdForQueue",
    "pull_threshold_for_topic": "pullThresholdForTopic",
    "pull_threshold_size_for_queue": "pullThresholdSizeForQueue",
    "pull_threshold_size_for_topic": "pullThresholdSizeForTopic",
    "pull_time_delay_mills_when_exception": "pullTimeDelayMillsWhenException",
    "rebalance_wait_interval": "rocketmq.client.rebalance.waitInterval",
    "retry_another_broker_when_not_store_ok": "retryAnotherBrokerWhenNotStoreOK",
    "retry_times_when_send_async_failed": "retryTimesWhenSendAsyncFailed",
    "retry_times_when_send_failed": "retryTimesWhenSendFailed",
    "secret_key": "secretKey",
    "send_latency_fault_enable": "sendLatencyFaultEnable",
    "send_msg_max_timeout_per_request": "sendMsgMaxTimeoutPerRequest",
    "send_msg_timeout": "sendMsgTimeout",
    "serialize_type": "rocketmq.serialize.type",
    "socks_proxy_config": "socksProxyConfig",
    "suspend_current_queue_time_millis": "suspendCurrentQueueTimeMillis",
    "tls_client_any_host_name": "tls.client.anyHostName",
    "tls_client_auth_server": "tls.client.authServer",
    "tls_client_cert_path": "tls.client.certPath",
    "tls_client_key_password": "tls.client.keyPassword",
    "tls_client_key_path": "tls.client.keyPath",
    "tls_client_trust_cert_path": "tls.client.trustCertPath",
    "total_batch_max_bytes": "totalBatchMaxBytes",
    "trace_topic": "traceTopic",
    "unit_mode": "unitMode",
    "unit_name": "unitName",
    "use_tls": "useTLS",
    "version": "version",
    "vip_channel_enabled": "vipChannelEnabled",
}
"""Java's names."""
