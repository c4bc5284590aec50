// Settings as properties, each with its type and default.
// Written by client/tests/it/generated.rs from the client's tables.

/** Settings of a client. */
export interface ClientSettings {
  /**
   * The NameServers, `host:port` with `;` between; empty takes the environment variable
   * `NAMESRV_ADDR`.
   */
  namesrvAddr?: string | undefined;
  /**
   * The account that signs every request, for clusters with access control.
   */
  accessKey?: string | undefined;
  /**
   * The account's secret.
   */
  secretKey?: string | undefined;
  /**
   * Whether NameServers and brokers are talked to through TLS. Default: `false`.
   */
  useTLS?: boolean | undefined;
  /**
   * Whether a server's certificate must be issued by one of tls.client.trustCertPath. Default:
   * `false`.
   */
  'tls.client.authServer'?: boolean | undefined;
  /**
   * The file of the certificates that issue the servers' ones, PEM.
   */
  'tls.client.trustCertPath'?: string | undefined;
  /**
   * Whether a trusted certificate is taken whatever host it was issued for. Java never looks at the
   * host. Default: `false`.
   */
  'tls.client.anyHostName'?: boolean | undefined;
  /**
   * The file of the certificate to show to servers, and its chain, PEM.
   */
  'tls.client.certPath'?: string | undefined;
  /**
   * The file of the private key of tls.client.certPath, PEM.
   */
  'tls.client.keyPath'?: string | undefined;
  /**
   * The password of that key, if it is encrypted.
   */
  'tls.client.keyPassword'?: string | undefined;
  /**
   * Put before the names of topics and groups on their way to the cluster, and taken away on their
   * way back.
   */
  namespace?: string | undefined;
  /**
   * The part of the client id after `@`; empty is made of process id and start time. Two clients of
   * one group must not share it.
   */
  instanceName?: string | undefined;
  /**
   * The address in the client id and in message ids; empty is that of the interface which leads to
   * the first NameServer.
   */
  clientIP?: string | undefined;
  /**
   * Appended to the client id.
   */
  unitName?: string | undefined;
  /**
   * Tells brokers that the client belongs to one unit of several. Default: `false`.
   */
  unitMode?: boolean | undefined;
  /**
   * Sends to the brokers' second port, which is two below the first. Default: `false`.
   */
  vipChannelEnabled?: boolean | undefined;
  /**
   * Time between two refreshes of all routes, ms. From 1 to 2147483647. Default: 30000.
   */
  pollNameServerInterval?: number | undefined;
  /**
   * Time between two heartbeats to all brokers, ms. From 1 to 2147483647. Default: 30000.
   */
  heartbeatBrokerInterval?: number | undefined;
  /**
   * How long one call takes at most, other than sends and pulls, ms. From 1 to 2147483647. Default:
   * 3000.
   */
  mqClientApiTimeout?: number | undefined;
  /**
   * How long a dial may take, ms. From 1 to 2147483647. Default: 3000.
   */
  connectTimeoutMillis?: number | undefined;
  /**
   * Most messages under way at once, over all producers of the client; further sends wait. From 1 to
   * 2147483647. Default: 10000.
   */
  backPressureForAsyncSendNum?: number | undefined;
  /**
   * Most bytes of messages under way at once, over all producers of the client; further sends wait.
   * From 1 to 2147483647. Default: 104857600.
   */
  backPressureForAsyncSendSize?: number | undefined;
  /**
   * Whether what this client sends and consumes, and how transactions end, is recorded in the trace
   * topic. Default: `false`.
   */
  enableTrace?: boolean | undefined;
  /**
   * The topic of traces. Default: `RMQ_SYS_TRACE_TOPIC`.
   */
  traceTopic?: string | undefined;
  /**
   * What brokers are told the client is written in; Java brokers before 4.9.2 do not know all of
   * them. Default: `JAVA`.
   */
  language?: 'JAVA' | 'CPP' | 'DOTNET' | 'PYTHON' | 'OTHER' | 'GO' | 'PHP' | 'RUST' | 'NODE_JS' | undefined;
  /**
   * The version that peers are told, Java's ordinal of `MQVersion.Version`; 409 is 4.9.8. From 0 to
   * 2147483647. Default: 409.
   */
  version?: number | undefined;
  /**
   * How headers are written; the binary form, ROCKETMQ, is shorter. Default: `JSON`.
   */
  'rocketmq.serialize.type'?: 'JSON' | 'ROCKETMQ' | undefined;
  /**
   * The web server, `host` or `host:port`, that is asked where the NameServers are when none are
   * given.
   */
  'rocketmq.namesrv.domain'?: string | undefined;
  /**
   * The last part of the path asked for there. Default: `nsaddr`.
   */
  'rocketmq.namesrv.domain.subgroup'?: string | undefined;
  /**
   * The SOCKS5 proxy that everything is dialled through, as Java writes it:
   * `{"0.0.0.0/0":{"addr":"host:port","username":"","password":""}}`.
   */
  socksProxyConfig?: string | undefined;
}

/** Settings of a producer. */
export interface ProducerSettings {
  /**
   * How long a send takes at most, all attempts together, ms. From 1 to 2147483647. Default: 3000.
   */
  sendMsgTimeout?: number | undefined;
  /**
   * How long one attempt takes at most while another may follow, ms; -1 for all the time that is
   * left. From -1 to 2147483647. Default: -1.
   */
  sendMsgMaxTimeoutPerRequest?: number | undefined;
  /**
   * How often a failed send that is awaited is tried again, on another broker where there is one.
   * From 0 to 2147483647. Default: 2.
   */
  retryTimesWhenSendFailed?: number | undefined;
  /**
   * How often a failed send that is queued is tried again, on another broker where there is one.
   * From 0 to 2147483647. Default: 2.
   */
  retryTimesWhenSendAsyncFailed?: number | undefined;
  /**
   * Whether a message that was stored with another status than SEND_OK is sent to another broker as
   * well. Default: `false`.
   */
  retryAnotherBrokerWhenNotStoreOK?: boolean | undefined;
  /**
   * Bodies of this many bytes and more are compressed. From 0 to 2147483647. Default: 4096.
   */
  compressMsgBodyOverHowmuch?: number | undefined;
  /**
   * How they are compressed. Default: `ZLIB`.
   */
  compressType?: 'ZLIB' | 'LZ4' | 'ZSTD' | undefined;
  /**
   * 0 (stored) to 9 (smallest) for ZLIB, 1 to 22 for ZSTD; LZ4 has none. From 0 to 22. Default: 5.
   */
  compressLevel?: number | undefined;
  /**
   * Largest body, and largest batch, in bytes; brokers have their own limit. From 1 to 15728640.
   * Default: 4194304.
   */
  maxMessageSize?: number | undefined;
  /**
   * Whether brokers that were slow or failing are avoided for a while. Default: `false`.
   */
  sendLatencyFaultEnable?: boolean | undefined;
  /**
   * Whether sends that are ready for the same topic travel as one batch, each with a receipt of its
   * own. Default: `false`.
   */
  autoBatch?: boolean | undefined;
  /**
   * How large such a batch gets, in bytes. From 1 to 15728640. Default: 32768.
   */
  batchMaxBytes?: number | undefined;
  /**
   * Bytes of messages that wait for such a batch; further sends wait. From 1 to 1073741824. Default:
   * 33554432.
   */
  totalBatchMaxBytes?: number | undefined;
  /**
   * The topic whose settings a topic takes over that its first message creates. Default: `TBW102`.
   */
  createTopicKey?: string | undefined;
  /**
   * Queues per broker of a topic that its first message creates. From 1 to 65536. Default: 4.
   */
  defaultTopicQueueNums?: number | undefined;
}

/** Settings of a transaction producer. */
export interface TransactionProducerSettings extends ProducerSettings {
  /**
   * Checks of transactions that run at once. From 1 to 536870912. Default: 1.
   */
  checkThreadPoolMaxSize?: number | undefined;
  /**
   * Checks that wait or run; brokers ask again about further ones. From 1 to 536870912. Default:
   * 2000.
   */
  checkRequestHoldMax?: number | undefined;
}

/** Settings of a push consumer. */
export interface PushConsumerSettings {
  /**
   * Whether each message goes to one consumer of the group or to all. Default: `CLUSTERING`.
   */
  messageModel?: 'CLUSTERING' | 'BROADCASTING' | undefined;
  /**
   * How queues are divided within the group, whose consumers must all use the same. Default: `AVG`.
   */
  allocateMessageQueueStrategy?: 'AVG' | 'AVG_BY_CIRCLE' | 'CONSISTENT_HASH' | undefined;
  /**
   * Folder of a broadcasting consumer's offsets; empty is `.rocketmq_offsets` in the home directory.
   */
  'rocketmq.client.localOffsetStoreDir'?: string | undefined;
  /**
   * Where a group without stored offset begins. Default: `CONSUME_FROM_LAST_OFFSET`.
   */
  consumeFromWhere?: 'CONSUME_FROM_LAST_OFFSET' | 'CONSUME_FROM_FIRST_OFFSET' | 'CONSUME_FROM_TIMESTAMP' | undefined;
  /**
   * The time for CONSUME_FROM_TIMESTAMP: `yyyyMMddHHmmss` in UTC (Java: the machine's zone), or ms
   * since 1970; empty is 30 minutes before the start.
   */
  consumeTimestamp?: string | number | Date | undefined;
  /**
   * Pulling of a queue pauses with more messages in memory. From 1 to 65535. Default: 1000.
   */
  pullThresholdForQueue?: number | undefined;
  /**
   * Pulling of a queue pauses with more MiB in memory. From 1 to 1024. Default: 100.
   */
  pullThresholdSizeForQueue?: number | undefined;
  /**
   * Time between two divisions of queues when nobody came or went, ms. From 1 to 2147483647.
   * Default: 20000.
   */
  'rocketmq.client.rebalance.waitInterval'?: number | undefined;
  /**
   * Pause after a failed pull, ms. From 0 to 2147483647. Default: 1000.
   */
  pullTimeDelayMillsWhenException?: number | undefined;
  /**
   * Handlers at work at once. From 1 to 1000. Default: 20.
   */
  consumeThreadMax?: number | undefined;
  /**
   * The same: the last of both counts. From 1 to 1000. Default: 20.
   */
  consumeThreadMin?: number | undefined;
  /**
   * Pulling of a queue pauses when its oldest and newest message in memory are further apart; not
   * for orderly consumers. From 1 to 65535. Default: 2000.
   */
  consumeConcurrentlyMaxSpan?: number | undefined;
  /**
   * Messages in memory over all queues, of which each queue gets an equal part; -1 for none. From -1
   * to 6553500. Default: -1.
   */
  pullThresholdForTopic?: number | undefined;
  /**
   * MiB in memory over all queues, of which each queue gets an equal part; -1 for none. From -1 to
   * 102400. Default: -1.
   */
  pullThresholdSizeForTopic?: number | undefined;
  /**
   * Pause between two pulls of a queue, ms. From 0 to 65535. Default: 0.
   */
  pullInterval?: number | undefined;
  /**
   * Messages per pull. From 1 to 1024. Default: 32.
   */
  pullBatchSize?: number | undefined;
  /**
   * Messages per call of a handler that takes several. From 1 to 1024. Default: 1.
   */
  consumeMessageBatchMaxSize?: number | undefined;
  /**
   * Whether every pull carries the expression of the subscription. Default: `false`.
   */
  postSubscriptionWhenPull?: boolean | undefined;
  /**
   * How often a failed message comes again before it becomes a dead letter; -1 is 16 times, in
   * orderly consumption without end. From -1 to 65535. Default: -1.
   */
  maxReconsumeTimes?: number | undefined;
  /**
   * Pause of an orderly queue after a failure, kept between 10 ms and 30 s, ms. From 0 to
   * 2147483647. Default: 1000.
   */
  suspendCurrentQueueTimeMillis?: number | undefined;
  /**
   * A message whose handler runs longer is given back to the broker for another try, in minutes; not
   * for orderly consumers. From 1 to 35791. Default: 15.
   */
  consumeTimeout?: number | undefined;
  /**
   * Whether an orderly handler's success commits at once, or only its answer to commit. Default:
   * `true`.
   */
  autoCommit?: boolean | undefined;
  /**
   * How long a shutdown waits for running handlers, ms (Java: 0, which abandons them). From 0 to
   * 2147483647. Default: 30000.
   */
  awaitTerminationMillisWhenShutdown?: number | undefined;
  /**
   * Time between two commits of offsets, ms. From 1 to 2147483647. Default: 5000.
   */
  persistConsumerOffsetInterval?: number | undefined;
}

/** Settings of a lite pull consumer. */
export interface LitePullConsumerSettings {
  /**
   * Whether each message goes to one consumer of the group or to all. Default: `CLUSTERING`.
   */
  messageModel?: 'CLUSTERING' | 'BROADCASTING' | undefined;
  /**
   * How queues are divided within the group, whose consumers must all use the same. Default: `AVG`.
   */
  allocateMessageQueueStrategy?: 'AVG' | 'AVG_BY_CIRCLE' | 'CONSISTENT_HASH' | undefined;
  /**
   * Folder of a broadcasting consumer's offsets; empty is `.rocketmq_offsets` in the home directory.
   */
  'rocketmq.client.localOffsetStoreDir'?: string | undefined;
  /**
   * Where a group without stored offset begins. Default: `CONSUME_FROM_LAST_OFFSET`.
   */
  consumeFromWhere?: 'CONSUME_FROM_LAST_OFFSET' | 'CONSUME_FROM_FIRST_OFFSET' | 'CONSUME_FROM_TIMESTAMP' | undefined;
  /**
   * The time for CONSUME_FROM_TIMESTAMP: `yyyyMMddHHmmss` in UTC (Java: the machine's zone), or ms
   * since 1970; empty is 30 minutes before the start.
   */
  consumeTimestamp?: string | number | Date | undefined;
  /**
   * Pulling of a queue pauses with more messages in memory. From 1 to 65535. Default: 1000.
   */
  pullThresholdForQueue?: number | undefined;
  /**
   * Pulling of a queue pauses with more MiB in memory. From 1 to 1024. Default: 100.
   */
  pullThresholdSizeForQueue?: number | undefined;
  /**
   * Time between two divisions of queues when nobody came or went, ms. From 1 to 2147483647.
   * Default: 20000.
   */
  'rocketmq.client.rebalance.waitInterval'?: number | undefined;
  /**
   * Pause after a failed pull, ms. From 0 to 2147483647. Default: 1000.
   */
  pullTimeDelayMillsWhenException?: number | undefined;
  /**
   * How long a broker holds a pull that may wait and finds nothing, ms. From 1 to 2147483647.
   * Default: 20000.
   */
  brokerSuspendMaxTimeMillis?: number | undefined;
  /**
   * How long such a pull waits for its answer, at least as long as the broker may hold it, ms. From
   * 1 to 2147483647. Default: 30000.
   */
  consumerTimeoutMillisWhenSuspend?: number | undefined;
  /**
   * Whether a poll commits what the polls before it handed out, or only a call to commit does.
   * Default: `true`.
   */
  autoCommit?: boolean | undefined;
  /**
   * Time between two stores of what is committed, ms. From 1000 to 2147483647. Default: 5000.
   */
  autoCommitIntervalMillis?: number | undefined;
  /**
   * Messages per pull, and per poll at most. From 1 to 1024. Default: 10.
   */
  pullBatchSize?: number | undefined;
  /**
   * Pulling pauses with more messages of all queues in memory. From 1 to 2147483647. Default: 10000.
   */
  pullThresholdForAll?: number | undefined;
  /**
   * Pulling of a queue pauses when its oldest and newest message in memory are further apart. From 1
   * to 65535. Default: 2000.
   */
  consumeMaxSpan?: number | undefined;
}
