/*
 * Ferrocket: a client for clusters that speak RocketMQ's remoting protocol, Apache RocketMQ 4.9 and 5.x or Ferrocket's
 * own servers.
 *
 * Handles. All types are opaque. A function that fails gives NULL into the place for its result. Every handle has a
 * fr_..._free, which takes NULL, too; after it the handle must not be used. A call that gets NULL, a handle of another
 * kind, or one that was closed, answers with an error; so it does, mostly, with one that was freed.
 *
 * Arguments are borrowed for the call: texts, bodies, messages and configurations are copied where they are needed longer
 * and stay the program's. Texts are UTF-8 and end with NUL. What a function gives is the program's to free, unless its
 * comment says how long it is valid; a NUL within such a text shows as U+FFFD.
 *
 * Errors. A function that can fail answers fr_status_t and, where its last argument is not NULL, gives an error with
 * the details there, which the program frees (fr_error_free), or NULL if there is none. Nothing the library does ends the
 * process: a fault within it is FR_ERROR_INTERNAL.
 *
 * Threads. What is called thread-safe in a comment may be called by any number of threads at once; only fr_..._free,
 * fr_delivery_answer and fr_deliveries_ack want the handle for themselves. Callbacks are called by threads of the
 * library, never on the stack of a call, and may block and call the library. No exception may leave one: in C++,
 * ferrocket.hpp has wrappers that catch them.
 *
 * Signals. The library sets no handler, and a peer that is gone is an error, not SIGPIPE. Its threads have the mask of the
 * thread whose call starts them: handlers of the program may run there. A handler must not call the library.
 *
 * Event loops. fr_..._fd gives a descriptor that is readable when the fr_..._poll of the same object may have something;
 * poll with the time 0 then. It may be readable without anything to take.
 *
 * Processes. A child of fork() cannot use what its parent made: calls answer FR_ERROR_CLOSED. Use the library only after
 * the fork, or start a program.
 *
 * Settings (fr_config_set) have Java's names. Times are in milliseconds where nothing else is said.
 *
 * Keys of a client:
 *   namesrvAddr (default none): The NameServers, `host:port` with `;` between; empty takes the environment variable
 *       `NAMESRV_ADDR`.
 *   accessKey (default none): The account that signs every request, for clusters with access control.
 *   secretKey (default none): The account's secret.
 *   useTLS (default false): Whether NameServers and brokers are talked to through TLS.
 *   tls.client.authServer (default false): Whether a server's certificate must be issued by one of
 *       tls.client.trustCertPath.
 *   tls.client.trustCertPath (default none): The file of the certificates that issue the servers' ones, PEM.
 *   tls.client.anyHostName (default false): Whether a trusted certificate is taken whatever host it was issued for.
 *       Java never looks at the host.
 *   tls.client.certPath (default none): The file of the certificate to show to servers, and its chain, PEM.
 *   tls.client.keyPath (default none): The file of the private key of tls.client.certPath, PEM.
 *   tls.client.keyPassword (default none): The password of that key, if it is encrypted.
 *   namespace (default none): Put before the names of topics and groups on their way to the cluster, and taken away
 *       on their way back.
 *   instanceName (default none): The part of the client id after `@`; empty is made of process id and start time. Two
 *       clients of one group must not share it.
 *   clientIP (default none): The address in the client id and in message ids; empty is that of the interface which
 *       leads to the first NameServer.
 *   unitName (default none): Appended to the client id.
 *   unitMode (default false): Tells brokers that the client belongs to one unit of several.
 *   vipChannelEnabled (default false): Sends to the brokers' second port, which is two below the first.
 *   pollNameServerInterval (default 30000): Time between two refreshes of all routes, ms.
 *   heartbeatBrokerInterval (default 30000): Time between two heartbeats to all brokers, ms.
 *   mqClientApiTimeout (default 3000): How long one call takes at most, other than sends and pulls, ms.
 *   connectTimeoutMillis (default 3000): How long a dial may take, ms.
 *   backPressureForAsyncSendNum (default 10000): Most messages under way at once, over all producers of the client;
 *       further sends wait.
 *   backPressureForAsyncSendSize (default 104857600): Most bytes of messages under way at once, over all producers of
 *       the client; further sends wait.
 *   enableTrace (default false): Whether what this client sends and consumes, and how transactions end, is recorded
 *       in the trace topic.
 *   traceTopic (default RMQ_SYS_TRACE_TOPIC): The topic of traces.
 *   language (default JAVA): What brokers are told the client is written in; Java brokers before 4.9.2 do not know
 *       all of them.
 *   version (default 409): The version that peers are told, Java's ordinal of `MQVersion.Version`; 409 is 4.9.8.
 *   rocketmq.serialize.type (default JSON): How headers are written; the binary form, ROCKETMQ, is shorter.
 *   rocketmq.namesrv.domain (default none): The web server, `host` or `host:port`, that is asked where the
 *       NameServers are when none are given.
 *   rocketmq.namesrv.domain.subgroup (default nsaddr): The last part of the path asked for there.
 *   socksProxyConfig (default none): The SOCKS5 proxy that everything is dialled through, as Java writes it:
 *       `{"0.0.0.0/0":{"addr":"host:port","username":"","password":""}}`.
 *
 * Keys of a producer:
 *   sendMsgTimeout (default 3000): How long a send takes at most, all attempts together, ms.
 *   sendMsgMaxTimeoutPerRequest (default -1): How long one attempt takes at most while another may follow, ms; -1 for
 *       all the time that is left.
 *   retryTimesWhenSendFailed (default 2): How often a failed send that is awaited is tried again, on another broker
 *       where there is one.
 *   retryTimesWhenSendAsyncFailed (default 2): How often a failed send that is queued is tried again, on another
 *       broker where there is one.
 *   retryAnotherBrokerWhenNotStoreOK (default false): Whether a message that was stored with another status than
 *       SEND_OK is sent to another broker as well.
 *   compressMsgBodyOverHowmuch (default 4096): Bodies of this many bytes and more are compressed.
 *   compressType (default ZLIB): How they are compressed.
 *   compressLevel (default 5): 0 (stored) to 9 (smallest) for ZLIB, 1 to 22 for ZSTD; LZ4 has none.
 *   maxMessageSize (default 4194304): Largest body, and largest batch, in bytes; brokers have their own limit.
 *   sendLatencyFaultEnable (default false): Whether brokers that were slow or failing are avoided for a while.
 *   autoBatch (default false): Whether sends that are ready for the same topic travel as one batch, each with a
 *       receipt of its own.
 *   batchMaxBytes (default 32768): How large such a batch gets, in bytes.
 *   totalBatchMaxBytes (default 33554432): Bytes of messages that wait for such a batch; further sends wait.
 *   createTopicKey (default TBW102): The topic whose settings a topic takes over that its first message creates.
 *   defaultTopicQueueNums (default 4): Queues per broker of a topic that its first message creates.
 *
 * Keys of a transaction producer:
 *   sendMsgTimeout (default 3000): How long a send takes at most, all attempts together, ms.
 *   sendMsgMaxTimeoutPerRequest (default -1): How long one attempt takes at most while another may follow, ms; -1 for
 *       all the time that is left.
 *   retryTimesWhenSendFailed (default 2): How often a failed send that is awaited is tried again, on another broker
 *       where there is one.
 *   retryTimesWhenSendAsyncFailed (default 2): How often a failed send that is queued is tried again, on another
 *       broker where there is one.
 *   retryAnotherBrokerWhenNotStoreOK (default false): Whether a message that was stored with another status than
 *       SEND_OK is sent to another broker as well.
 *   compressMsgBodyOverHowmuch (default 4096): Bodies of this many bytes and more are compressed.
 *   compressType (default ZLIB): How they are compressed.
 *   compressLevel (default 5): 0 (stored) to 9 (smallest) for ZLIB, 1 to 22 for ZSTD; LZ4 has none.
 *   maxMessageSize (default 4194304): Largest body, and largest batch, in bytes; brokers have their own limit.
 *   sendLatencyFaultEnable (default false): Whether brokers that were slow or failing are avoided for a while.
 *   autoBatch (default false): Whether sends that are ready for the same topic travel as one batch, each with a
 *       receipt of its own.
 *   batchMaxBytes (default 32768): How large such a batch gets, in bytes.
 *   totalBatchMaxBytes (default 33554432): Bytes of messages that wait for such a batch; further sends wait.
 *   createTopicKey (default TBW102): The topic whose settings a topic takes over that its first message creates.
 *   defaultTopicQueueNums (default 4): Queues per broker of a topic that its first message creates.
 *   checkThreadPoolMaxSize (default 1): Checks of transactions that run at once.
 *   checkRequestHoldMax (default 2000): Checks that wait or run; brokers ask again about further ones.
 *
 * Keys of a push consumer:
 *   messageModel (default CLUSTERING): Whether each message goes to one consumer of the group or to all.
 *   allocateMessageQueueStrategy (default AVG): How queues are divided within the group, whose consumers must all use
 *       the same.
 *   rocketmq.client.localOffsetStoreDir (default none): Folder of a broadcasting consumer's offsets; empty is
 *       `.rocketmq_offsets` in the home directory.
 *   consumeFromWhere (default CONSUME_FROM_LAST_OFFSET): Where a group without stored offset begins.
 *   consumeTimestamp (default none): The time for CONSUME_FROM_TIMESTAMP: `yyyyMMddHHmmss` in UTC (Java: the
 *       machine's zone), or ms since 1970; empty is 30 minutes before the start.
 *   pullThresholdForQueue (default 1000): Pulling of a queue pauses with more messages in memory.
 *   pullThresholdSizeForQueue (default 100): Pulling of a queue pauses with more MiB in memory.
 *   rocketmq.client.rebalance.waitInterval (default 20000): Time between two divisions of queues when nobody came or
 *       went, ms.
 *   pullTimeDelayMillsWhenException (default 1000): Pause after a failed pull, ms.
 *   consumeThreadMax (default 20): Handlers at work at once.
 *   consumeThreadMin (default 20): The same: the last of both counts.
 *   consumeConcurrentlyMaxSpan (default 2000): Pulling of a queue pauses when its oldest and newest message in memory
 *       are further apart; not for orderly consumers.
 *   pullThresholdForTopic (default -1): Messages in memory over all queues, of which each queue gets an equal part;
 *       -1 for none.
 *   pullThresholdSizeForTopic (default -1): MiB in memory over all queues, of which each queue gets an equal part; -1
 *       for none.
 *   pullInterval (default 0): Pause between two pulls of a queue, ms.
 *   pullBatchSize (default 32): Messages per pull.
 *   consumeMessageBatchMaxSize (default 1): Messages per call of a handler that takes several.
 *   postSubscriptionWhenPull (default false): Whether every pull carries the expression of the subscription.
 *   maxReconsumeTimes (default -1): How often a failed message comes again before it becomes a dead letter; -1 is 16
 *       times, in orderly consumption without end.
 *   suspendCurrentQueueTimeMillis (default 1000): Pause of an orderly queue after a failure, kept between 10 ms and
 *       30 s, ms.
 *   consumeTimeout (default 15): A message whose handler runs longer is given back to the broker for another try, in
 *       minutes; not for orderly consumers.
 *   autoCommit (default true): Whether an orderly handler's success commits at once, or only its answer to commit.
 *   awaitTerminationMillisWhenShutdown (default 30000): How long a shutdown waits for running handlers, ms (Java: 0,
 *       which abandons them).
 *   persistConsumerOffsetInterval (default 5000): Time between two commits of offsets, ms.
 *
 * Keys of a lite pull consumer:
 *   messageModel (default CLUSTERING): Whether each message goes to one consumer of the group or to all.
 *   allocateMessageQueueStrategy (default AVG): How queues are divided within the group, whose consumers must all use
 *       the same.
 *   rocketmq.client.localOffsetStoreDir (default none): Folder of a broadcasting consumer's offsets; empty is
 *       `.rocketmq_offsets` in the home directory.
 *   consumeFromWhere (default CONSUME_FROM_LAST_OFFSET): Where a group without stored offset begins.
 *   consumeTimestamp (default none): The time for CONSUME_FROM_TIMESTAMP: `yyyyMMddHHmmss` in UTC (Java: the
 *       machine's zone), or ms since 1970; empty is 30 minutes before the start.
 *   pullThresholdForQueue (default 1000): Pulling of a queue pauses with more messages in memory.
 *   pullThresholdSizeForQueue (default 100): Pulling of a queue pauses with more MiB in memory.
 *   rocketmq.client.rebalance.waitInterval (default 20000): Time between two divisions of queues when nobody came or
 *       went, ms.
 *   pullTimeDelayMillsWhenException (default 1000): Pause after a failed pull, ms.
 *   brokerSuspendMaxTimeMillis (default 20000): How long a broker holds a pull that may wait and finds nothing, ms.
 *   consumerTimeoutMillisWhenSuspend (default 30000): How long such a pull waits for its answer, at least as long as
 *       the broker may hold it, ms.
 *   autoCommit (default true): Whether a poll commits what the polls before it handed out, or only a call to commit
 *       does.
 *   autoCommitIntervalMillis (default 5000): Time between two stores of what is committed, ms.
 *   pullBatchSize (default 10): Messages per pull, and per poll at most.
 *   pullThresholdForAll (default 10000): Pulling pauses with more messages of all queues in memory.
 *   consumeMaxSpan (default 2000): Pulling of a queue pauses when its oldest and newest message in memory are further
 *       apart.
 */

#ifndef FERROCKET_H
#define FERROCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The version of this header, which fr_version() should answer. */
#define FR_VERSION "0.1.0"

/**
 * What a call answers: FR_OK, or the kind of its error.
 */
enum fr_status_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It worked.
     */
    FR_OK = 0,
    /**
     * A setting, a name or an argument that cannot work. Trying again does not help.
     */
    FR_ERROR_CONFIG = 1,
    /**
     * The client, producer or consumer was closed.
     */
    FR_ERROR_CLOSED = 2,
    /**
     * No NameServer knows a route for the topic.
     */
    FR_ERROR_NO_ROUTE = 3,
    /**
     * The route names a broker that has no master address at present.
     */
    FR_ERROR_NO_BROKER = 4,
    /**
     * No connection to the address, or it was lost. A message may have been stored nevertheless.
     */
    FR_ERROR_CONNECT = 5,
    /**
     * No answer in time. A message may have been stored nevertheless.
     */
    FR_ERROR_TIMEOUT = 6,
    /**
     * A limit of this client is reached, or the server asked to slow down.
     */
    FR_ERROR_FLOW_CONTROL = 7,
    /**
     * The server answered with an error code.
     */
    FR_ERROR_BROKER = 8,
    /**
     * The message breaks a rule and was not sent.
     */
    FR_ERROR_INVALID_MESSAGE = 9,
    /**
     * An answer that cannot be read.
     */
    FR_ERROR_PROTOCOL = 10,
    /**
     * A local file, or a local port.
     */
    FR_ERROR_IO = 11,
    /**
     * A fault of this library; please report it.
     */
    FR_ERROR_INTERNAL = 12,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fr_status_t fr_status_t;
#else
typedef int32_t fr_status_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an event is about.
 */
enum fr_event_kind_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * A consumer took queues of a topic or gave some up: group, topic, and the queues that it has now.
     */
    FR_EVENT_REBALANCED = 0,
    /**
     * A topic got another route: topic.
     */
    FR_EVENT_ROUTE_CHANGED = 1,
    /**
     * A connection was opened: addr.
     */
    FR_EVENT_CONNECTED = 2,
    /**
     * A connection ended, on whoever's wish: addr.
     */
    FR_EVENT_DISCONNECTED = 3,
    /**
     * A delivery is older than `consumeTimeout`; its message is given back to the broker: group, queue, message id,
     * and as number the milliseconds that it should not have passed.
     */
    FR_EVENT_SLOW_HANDLER = 4,
    /**
     * Pulling of a queue pauses, because too much waits in memory or is in handlers: group, queue, and as number the
     * messages of it in memory.
     */
    FR_EVENT_FLOW_CONTROL = 5,
    /**
     * So many events (number) were not kept, because nobody took those before.
     */
    FR_EVENT_MISSED = 6,
    /**
     * Something that this header does not know yet.
     */
    FR_EVENT_OTHER = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fr_event_kind_t fr_event_kind_t;
#else
typedef int32_t fr_event_kind_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How safe a stored message is. All four mean that the broker has it.
 */
enum fr_send_status_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Stored as safely as the broker is set up to.
     */
    FR_SEND_OK = 0,
    /**
     * Stored, but the disk did not confirm in time (only with synchronous flush).
     */
    FR_FLUSH_DISK_TIMEOUT = 1,
    /**
     * Stored, but no slave confirmed in time (only with a synchronous master).
     */
    FR_FLUSH_SLAVE_TIMEOUT = 2,
    /**
     * Stored, but there is no slave to confirm it (only with a synchronous master).
     */
    FR_SLAVE_NOT_AVAILABLE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fr_send_status_t fr_send_status_t;
#else
typedef int32_t fr_send_status_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What the program says about a delivery, or about a transaction.
 */
enum fr_answer_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It is done.
     */
    FR_SUCCESS = 0,
    /**
     * Not now. Concurrent: the message comes again after a delay. Orderly: the messages come again after a pause, for
     * which the queue waits. A transaction: the broker asks again.
     */
    FR_LATER = 1,
    /**
     * Orderly: done, with everything before; with automatic commits (`autoCommit`, the default) as FR_SUCCESS.
     * A transaction: consumers get the message.
     */
    FR_COMMIT = 2,
    /**
     * Orderly, without automatic commits: everything since the last commit comes again after a pause. A transaction:
     * nobody gets the message.
     */
    FR_ROLLBACK = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fr_answer_t fr_answer_t;
#else
typedef int32_t fr_answer_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an expression is, by which a consumer chooses among a topic's messages.
 */
enum fr_expression_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Tags with `||` between them; `*` for every message.
     */
    FR_TAG = 0,
    /**
     * A condition on properties, such as `region = 'north' AND weight > 5`.
     */
    FR_SQL92 = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fr_expression_t fr_expression_t;
#else
typedef int32_t fr_expression_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * In which order messages are consumed.
 */
enum fr_order_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * In any order, many at once; each delivery is one message.
     */
    FR_CONCURRENTLY = 0,
    /**
     * Those of each queue in order: a delivery has up to `consumeMessageBatchMaxSize` messages of one queue, which
     * waits for the answer.
     */
    FR_ORDERLY = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum fr_order_t fr_order_t;
#else
typedef int32_t fr_order_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The connection to a cluster, shared by the producers and consumers of a program.
 *
 * Owned by the program; free it with fr_client_free. Thread-safe.
 */
typedef struct fr_client_t fr_client_t;

/**
 * How an asynchronous send ended.
 *
 * Owned by the program; free it with fr_completion_free. Does not change: any threads may read it at once.
 */
typedef struct fr_completion_t fr_completion_t;

/**
 * Settings for one client, producer or consumer, and the subscriptions of a consumer.
 *
 * Owned by the program, which may use it any number of times; free it with fr_config_free. Thread-safe.
 */
typedef struct fr_config_t fr_config_t;

/**
 * Messages that the program has to answer for.
 *
 * Owned by the program, which gives it back with fr_delivery_answer or fr_deliveries_ack, or with fr_delivery_free as
 * not answered; while a handler is called, owned by the library. Any threads may read it at once.
 */
typedef struct fr_delivery_t fr_delivery_t;

/**
 * Why a call failed.
 *
 * Owned by whom the call gave it; free it with fr_error_free. Does not change: any threads may read it at once.
 */
typedef struct fr_error_t fr_error_t;

/**
 * Something that happened in a client.
 *
 * Owned by the program; free it with fr_event_free. Does not change: any threads may read it at once.
 */
typedef struct fr_event_t fr_event_t;

/**
 * What happens in a client, for programs that watch it.
 *
 * Owned by the program; free it with fr_events_free. Thread-safe.
 */
typedef struct fr_events_t fr_events_t;

/**
 * A consumer that the program polls. With automatic commits (`autoCommit`, the default) a poll says that the messages
 * of all polls before it are done.
 *
 * Owned by the program; free it with fr_lite_pull_consumer_free. Thread-safe.
 */
typedef struct fr_lite_pull_consumer_t fr_lite_pull_consumer_t;

/**
 * A message as a broker delivered it.
 *
 * Owned by the list or delivery that it is in, or by the program where a call gives it alone
 * (fr_message_ext_free). Does not change: any threads may read it at once.
 */
typedef struct fr_message_ext_t fr_message_ext_t;

/**
 * A message to be sent.
 *
 * Owned by the program, which may send it any number of times; free it with fr_message_free. Thread-safe.
 */
typedef struct fr_message_t fr_message_t;

/**
 * Messages that were delivered together. Owned by whom the call gave it; free it with fr_messages_free. Does not
 * change: any threads may read it at once.
 */
typedef struct fr_messages_t fr_messages_t;

/**
 * Names, for instance of topics. Owned by the program; free it with fr_names_free. Does not change: any threads may
 * read it at once.
 */
typedef struct fr_names_t fr_names_t;

/**
 * Offsets of queues, two of each. Owned by the program; free it with fr_offsets_free. Does not change: any threads may
 * read it at once.
 */
typedef struct fr_offsets_t fr_offsets_t;

/**
 * Sends messages in the name of a producer group.
 *
 * Owned by the program, or by the transaction producer that it is part of; free it with fr_producer_free.
 * Thread-safe.
 */
typedef struct fr_producer_t fr_producer_t;

/**
 * A consumer that brokers' messages are pushed to.
 *
 * Owned by the program; free it with fr_push_consumer_free. Thread-safe.
 */
typedef struct fr_push_consumer_t fr_push_consumer_t;

/**
 * A queue: a topic, a broker's name and a number.
 *
 * Owned by the object that it is part of, or by the program where it made one (fr_queue_new, fr_queue_free). Does
 * not change: any threads may read it at once.
 */
typedef struct fr_queue_t fr_queue_t;

/**
 * Queues. Owned by whom the call gave it; free it with fr_queues_free. Does not change: any threads may read it.
 */
typedef struct fr_queues_t fr_queues_t;

/**
 * The broker's receipt for a message.
 *
 * Owned by whom the call gave it; free it with fr_send_result_free. Does not change: any threads may read it at once.
 */
typedef struct fr_send_result_t fr_send_result_t;

/**
 * The terms of sends: a queue, or a key that orders them, and a timeout. Without any a message is sent as its producer
 * sends.
 *
 * Owned by the program, which may use it any number of times; free it with fr_send_terms_free. Thread-safe.
 */
typedef struct fr_send_terms_t fr_send_terms_t;

/**
 * A NameServer and a Broker in this process, on free ports of the loopback address and with the store in memory: the
 * real servers, without a disk.
 *
 * Owned by the program; free it with fr_testing_broker_free. Thread-safe.
 */
typedef struct fr_testing_broker_t fr_testing_broker_t;

/**
 * Sends messages that consumers get only if a local transaction was committed, and is asked by brokers about those
 * whose end they did not hear of.
 *
 * Owned by the program; free it with fr_transaction_producer_free. Thread-safe.
 */
typedef struct fr_transaction_producer_t fr_transaction_producer_t;

/**
 * A transaction that was begun: the broker has its half message.
 *
 * Owned by the program; free it with fr_transaction_free. Thread-safe.
 */
typedef struct fr_transaction_t fr_transaction_t;

/**
 * Takes a line of the library's log: how grave it is (1 error, 2 warning, 3 information, 4 debugging, 5 trace), the
 * module it comes from, and what it says. The texts are valid during the call.
 */
typedef void (*fr_log_t)(int32_t level, const char *target, const char *text, void *user);

/**
 * Told how an asynchronous send ended: either a receipt or an error, the other one is NULL; and the word given with
 * the send. Both are valid during the call.
 */
typedef void (*fr_send_callback_t)(const struct fr_send_result_t *result,
                                   const struct fr_error_t *error,
                                   void *user);

/**
 * Consumes a delivery and answers one of fr_answer_t; any other number counts as FR_LATER. The delivery is valid
 * during the call. It may be called by several threads at once; it may block, and call everything but what closes its
 * own consumer. No exception of C++ may leave it (ferrocket.hpp has a wrapper that sees to that).
 */
typedef int32_t (*fr_handler_t)(const struct fr_delivery_t *delivery, void *user);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The name of a status, such as `NoRoute`; `Unknown` for a number that is none. Valid for ever. Thread-safe.
 */
const char *fr_status_name(int32_t status);

/**
 * The kind of error, which the call answered, too. FR_ERROR_INTERNAL for NULL. Thread-safe.
 */
fr_status_t fr_error_status(const struct fr_error_t *error);

/**
 * What happened, in a sentence. Valid until the error is freed; NULL for NULL. Thread-safe.
 */
const char *fr_error_message(const struct fr_error_t *error);

/**
 * The server's response code; -1 if no server answered. Thread-safe.
 */
int32_t fr_error_code(const struct fr_error_t *error);

/**
 * The server's remark, word for word; NULL if there is none. Valid until the error is freed. Thread-safe.
 */
const char *fr_error_remark(const struct fr_error_t *error);

/**
 * The address that was talked to; NULL if none was. Valid until the error is freed. Thread-safe.
 */
const char *fr_error_addr(const struct fr_error_t *error);

/**
 * Whether the same call may succeed later without any change by the caller. Thread-safe.
 */
bool fr_error_is_retryable(const struct fr_error_t *error);

/**
 * Frees an error. NULL is allowed.
 */
void fr_error_free(struct fr_error_t *error);

/**
 * Makes a configuration in which everything has its default. The program owns it (fr_config_free). Thread-safe.
 */
struct fr_config_t *fr_config_new(void);

/**
 * Sets a setting by its Java name, see the lists of keys above. Keys and values are checked where the configuration
 * is used: there the error names the nearest key, or what the value may be. Thread-safe.
 */
fr_status_t fr_config_set(struct fr_config_t *config,
                          const char *key,
                          const char *value,
                          struct fr_error_t **error);

/**
 * Subscribes the consumers that are started with this to a topic, by an expression of a kind of fr_expression_t.
 * Several calls make several topics. Thread-safe.
 */
fr_status_t fr_config_subscribe(struct fr_config_t *config,
                                const char *topic,
                                const char *expression,
                                int32_t kind,
                                struct fr_error_t **error);

/**
 * Frees a configuration. NULL is allowed.
 */
void fr_config_free(struct fr_config_t *config);

/**
 * The version of the library, such as `0.1.0`. Valid for ever. Thread-safe.
 */
const char *fr_version(void);

/**
 * Makes a client. It connects to nothing yet, but reads the files of TLS. The keys of its configuration are in the
 * list "client"; without `namesrvAddr` the environment's NAMESRV_ADDR is read, as by Java. Thread-safe.
 *
 * Gives it into *client; the program owns it (fr_client_free).
 */
fr_status_t fr_client_new(const struct fr_config_t *config,
                          struct fr_client_t **client,
                          struct fr_error_t **error);

/**
 * What brokers call the client. Valid as long as the client. Thread-safe.
 */
const char *fr_client_id(const struct fr_client_t *client);

/**
 * The queues that messages of a topic can be sent to. FR_ERROR_NO_ROUTE when the topic does not exist. Thread-safe.
 *
 * Gives them into *list; the program owns them (fr_queues_free).
 */
fr_status_t fr_client_fetch_queues(const struct fr_client_t *client,
                                   const char *topic,
                                   struct fr_queues_t **list,
                                   struct fr_error_t **error);

/**
 * Ends everything of this client, in this order: consumers stop pulling; their deliveries are answered, for at most
 * `awaitTerminationMillisWhenShutdown` (30 s); offsets are stored and consumers unregistered; sends under way are
 * finished, for at most 10 s (FR_ERROR_TIMEOUT if that was too short); producers are unregistered; connections close.
 * What fr_producer_send_async took and still has in line is refused: close producers first.
 * What uses the client answers FR_ERROR_CLOSED from then on; its handles stay the program's, to be freed. Not to be
 * called by a callback. Thread-safe.
 */
fr_status_t fr_client_close(const struct fr_client_t *client,
                            struct fr_error_t **error);

/**
 * Closes and frees a client. NULL is allowed.
 */
void fr_client_free(struct fr_client_t *client);

/**
 * Begins to watch a client. At most 256 events wait to be taken; the next are counted. Thread-safe.
 *
 * Gives the events from now on into *events; the program owns them (fr_events_free).
 */
fr_status_t fr_client_events(const struct fr_client_t *client,
                             struct fr_events_t **events,
                             struct fr_error_t **error);

/**
 * A descriptor that is readable when fr_events_poll may have something, for epoll and its like; -1 where there is no
 * such thing. The library's own: only wait for it, never read or close it. Valid as long as the events. Thread-safe.
 */
int fr_events_fd(const struct fr_events_t *events);

/**
 * Takes up to max events, and waits at most so many milliseconds for one to be there. FR_ERROR_CLOSED when the client
 * is closed and nothing is left. Thread-safe.
 *
 * Gives them into array, which has room for max handles, and their number into *count; the program owns them
 * (fr_event_free).
 */
fr_status_t fr_events_poll(const struct fr_events_t *events,
                           struct fr_event_t **array,
                           size_t max,
                           uint32_t timeout_ms,
                           size_t *count,
                           struct fr_error_t **error);

/**
 * Ends watching and frees the events. NULL is allowed.
 */
void fr_events_free(struct fr_events_t *events);

/**
 * What the event is about. Thread-safe.
 */
fr_event_kind_t fr_event_kind(const struct fr_event_t *event);

/**
 * The consumer group; NULL for events without. Valid as long as the event. Thread-safe.
 */
const char *fr_event_group(const struct fr_event_t *event);

/**
 * The topic; NULL for events without. Valid as long as the event. Thread-safe.
 */
const char *fr_event_topic(const struct fr_event_t *event);

/**
 * The address; NULL for events without. Valid as long as the event. Thread-safe.
 */
const char *fr_event_addr(const struct fr_event_t *event);

/**
 * The message's id; NULL for events without. Valid as long as the event. Thread-safe.
 */
const char *fr_event_msg_id(const struct fr_event_t *event);

/**
 * The queues, an empty list for events without. Valid as long as the event. Thread-safe.
 */
const struct fr_queues_t *fr_event_queues(const struct fr_event_t *event);

/**
 * The number, see fr_event_kind_t; 0 for events without. Thread-safe.
 */
uint64_t fr_event_number(const struct fr_event_t *event);

/**
 * Frees an event. NULL is allowed.
 */
void fr_event_free(struct fr_event_t *event);

/**
 * Has the library's log lines of this level and graver ones (1 error to 5 trace) go to `log`, which is called on a
 * thread of its own with one line at a time, instead of the one given before. NULL ends that: after this has returned,
 * the one before is called no more. At most 1,024 lines wait; the next are counted. Not to be called by `log`
 * itself. Thread-safe.
 */
fr_status_t fr_log_handle(uint8_t level,
                          fr_log_t log,
                          void *user,
                          struct fr_error_t **error);

/**
 * Ends the library's threads, for programs that unload it or look for leaks at their exit; waits at most so many
 * milliseconds for what is at work. Clients should have been closed before: every later call that needs a server
 * answers FR_ERROR_CLOSED, and so does this. Not needed else. Not to be called by a callback. Thread-safe.
 */
fr_status_t fr_stop(uint32_t timeout_ms,
                    struct fr_error_t **error);

/**
 * Makes a message for a topic. Names and sizes are checked when it is sent. The body, len bytes, is copied; it may be
 * NULL where len is 0. Thread-safe.
 *
 * Gives the message into *message; the program owns it (fr_message_free).
 */
fr_status_t fr_message_new(const char *topic,
                           const void *start,
                           size_t len,
                           struct fr_message_t **message,
                           struct fr_error_t **error);

/**
 * Sets the word by which consumers filter. Thread-safe.
 */
fr_status_t fr_message_set_tags(struct fr_message_t *message, const char *tags, struct fr_error_t **error);

/**
 * Adds a key under which the message can be looked up. Thread-safe.
 */
fr_status_t fr_message_add_key(struct fr_message_t *message, const char *key, struct fr_error_t **error);

/**
 * Sets a property. Upper-case names may have a meaning to brokers. Thread-safe.
 */
fr_status_t fr_message_set_property(struct fr_message_t *message,
                                    const char *name,
                                    const char *value,
                                    struct fr_error_t **error);

/**
 * Has the message delivered after the broker's delay of this level: 1 to 18 are 1s 5s 10s 30s 1m 2m ... 10m 20m 30m
 * 1h 2h by default; 0 is no delay. Thread-safe.
 */
fr_status_t fr_message_set_delay_level(struct fr_message_t *message,
                                       uint32_t level,
                                       struct fr_error_t **error);

/**
 * Has the message delivered at this time, milliseconds since 1970. Brokers from 5.0 on wait for it, up to three days
 * by default; older ones deliver at once. Thread-safe.
 */
fr_status_t fr_message_deliver_at(struct fr_message_t *message,
                                  int64_t time_ms,
                                  struct fr_error_t **error);

/**
 * Has the message delivered after so many milliseconds, counted by the broker; else as fr_message_deliver_at.
 * Thread-safe.
 */
fr_status_t fr_message_deliver_after(struct fr_message_t *message,
                                     uint64_t delay_ms,
                                     struct fr_error_t **error);

/**
 * Whether the broker answers only when the message is flushed and replicated as it is set up to (default), or as soon
 * as it is written. Thread-safe.
 */
fr_status_t fr_message_set_wait_store(struct fr_message_t *message,
                                      bool wait,
                                      struct fr_error_t **error);

/**
 * Sets the application's own flag, which RocketMQ stores and returns (default 0). Thread-safe.
 */
fr_status_t fr_message_set_flag(struct fr_message_t *message, int32_t flag, struct fr_error_t **error);

/**
 * Frees a message. NULL is allowed.
 */
void fr_message_free(struct fr_message_t *message);

/**
 * The topic; for a message that is tried again the original one. Valid as long as the message. Thread-safe.
 */
const char *fr_message_ext_topic(const struct fr_message_ext_t *message);

/**
 * The body, unpacked; its length goes to *len, which may be NULL. Not ended by NUL. Valid as long as the message.
 * Thread-safe.
 */
const void *fr_message_ext_body(const struct fr_message_ext_t *message,
                                size_t *len);

/**
 * The producer's id of the message, or the broker's where the producer gave none. Valid as long as the message.
 * Thread-safe.
 */
const char *fr_message_ext_msg_id(const struct fr_message_ext_t *message);

/**
 * The broker's id of the message, for fr_admin_view_message. Valid as long as the message. Thread-safe.
 */
const char *fr_message_ext_offset_msg_id(const struct fr_message_ext_t *message);

/**
 * The word by which consumers filter; NULL if there is none. Valid as long as the message. Thread-safe.
 */
const char *fr_message_ext_tags(const struct fr_message_ext_t *message);

/**
 * The keys, with a space between two; NULL if there is none. Valid as long as the message. Thread-safe.
 */
const char *fr_message_ext_keys(const struct fr_message_ext_t *message);

/**
 * The value of a property; NULL if there is none. Valid as long as the message. Thread-safe.
 */
const char *fr_message_ext_property(const struct fr_message_ext_t *message, const char *name);

/**
 * The name of the property with this number, in the order of their names; NULL from their count on. Valid as long as
 * the message. Thread-safe.
 */
const char *fr_message_ext_property_name(const struct fr_message_ext_t *message,
                                         size_t at);

/**
 * The id of the transaction that the message is or was part of; NULL if there is none. Valid as long as the message.
 * Thread-safe.
 */
const char *fr_message_ext_transaction_id(const struct fr_message_ext_t *message);

/**
 * The name of the broker that it came from. Valid as long as the message. Thread-safe.
 */
const char *fr_message_ext_broker_name(const struct fr_message_ext_t *message);

/**
 * The queue within the topic and broker; -1 for NULL. Thread-safe.
 */
int32_t fr_message_ext_queue_id(const struct fr_message_ext_t *message);

/**
 * The number within the queue; -1 for NULL. Thread-safe.
 */
int64_t fr_message_ext_queue_offset(const struct fr_message_ext_t *message);

/**
 * How often its consumption was tried before; -1 for NULL. Thread-safe.
 */
int32_t fr_message_ext_reconsume_times(const struct fr_message_ext_t *message);

/**
 * The level of its delay, 0 for none. Thread-safe.
 */
uint32_t fr_message_ext_delay_level(const struct fr_message_ext_t *message);

/**
 * The application's own flag. Thread-safe.
 */
int32_t fr_message_ext_flag(const struct fr_message_ext_t *message);

/**
 * When the producer made it, milliseconds since 1970; -1 for NULL. Thread-safe.
 */
int64_t fr_message_ext_born_timestamp(const struct fr_message_ext_t *message);

/**
 * When the broker stored it, milliseconds since 1970; -1 for NULL. Thread-safe.
 */
int64_t fr_message_ext_store_timestamp(const struct fr_message_ext_t *message);

/**
 * Makes the reply to a request, to be sent with any producer: the broker brings it to the one who asked with
 * fr_producer_request. The body is as for fr_message_new. FR_ERROR_INVALID_MESSAGE for a message of a broker that does
 * not name its cluster. Thread-safe.
 *
 * Gives the reply into *reply; the program owns it (fr_message_free).
 */
fr_status_t fr_message_ext_reply(const struct fr_message_ext_t *message,
                                 const void *start,
                                 size_t len,
                                 struct fr_message_t **reply,
                                 struct fr_error_t **error);

/**
 * Frees a message that a call gave alone. NULL is allowed.
 */
void fr_message_ext_free(struct fr_message_ext_t *message);

/**
 * How many there are. Thread-safe.
 */
size_t fr_messages_count(const struct fr_messages_t *messages);

/**
 * The message with this number, from 0; NULL from their count on. Valid as long as the list. Thread-safe.
 */
const struct fr_message_ext_t *fr_messages_at(const struct fr_messages_t *messages, size_t at);

/**
 * Frees messages. NULL is allowed.
 */
void fr_messages_free(struct fr_messages_t *messages);

/**
 * Makes a queue. Thread-safe.
 *
 * Gives it into *queue; the program owns it (fr_queue_free).
 */
fr_status_t fr_queue_new(const char *topic,
                         const char *broker_name,
                         int32_t id,
                         struct fr_queue_t **queue,
                         struct fr_error_t **error);

/**
 * The topic. Valid as long as the queue. Thread-safe.
 */
const char *fr_queue_topic(const struct fr_queue_t *queue);

/**
 * The broker's name. Valid as long as the queue. Thread-safe.
 */
const char *fr_queue_broker_name(const struct fr_queue_t *queue);

/**
 * The number; -1 for NULL. Thread-safe.
 */
int32_t fr_queue_id(const struct fr_queue_t *queue);

/**
 * Frees a queue that the program made. NULL is allowed.
 */
void fr_queue_free(struct fr_queue_t *queue);

/**
 * How many there are. Thread-safe.
 */
size_t fr_queues_count(const struct fr_queues_t *queues);

/**
 * The queue with this number, from 0; NULL from their count on. Valid as long as the list. Thread-safe.
 */
const struct fr_queue_t *fr_queues_at(const struct fr_queues_t *queues, size_t at);

/**
 * Frees queues. NULL is allowed.
 */
void fr_queues_free(struct fr_queues_t *queues);

/**
 * How safe the message is. Thread-safe.
 */
fr_send_status_t fr_send_result_status(const struct fr_send_result_t *result);

/**
 * The client's own id of the message; for a batch all of them, comma separated. Valid as long as the receipt.
 * Thread-safe.
 */
const char *fr_send_result_msg_id(const struct fr_send_result_t *result);

/**
 * The broker's id: its address and the place in its CommitLog; for a batch comma separated. Valid as long as the
 * receipt. Thread-safe.
 */
const char *fr_send_result_offset_msg_id(const struct fr_send_result_t *result);

/**
 * The queue that the message stands in. Valid as long as the receipt. Thread-safe.
 */
const struct fr_queue_t *fr_send_result_queue(const struct fr_send_result_t *result);

/**
 * Its number in that queue; for a batch that of the first message. -1 for NULL. Thread-safe.
 */
int64_t fr_send_result_queue_offset(const struct fr_send_result_t *result);

/**
 * Takes a delayed message back, see fr_producer_recall; NULL from brokers before 5.3. Valid as long as the receipt.
 * Thread-safe.
 */
const char *fr_send_result_recall_handle(const struct fr_send_result_t *result);

/**
 * Frees a receipt. NULL is allowed.
 */
void fr_send_result_free(struct fr_send_result_t *result);

/**
 * Makes terms that say nothing yet. The program owns them (fr_send_terms_free). Thread-safe.
 */
struct fr_send_terms_t *fr_send_terms_new(void);

/**
 * Has messages go to this queue, in place of a key that was set before. Each is tried once. Thread-safe.
 */
fr_status_t fr_send_terms_set_queue(struct fr_send_terms_t *terms,
                                    const struct fr_queue_t *queue,
                                    struct fr_error_t **error);

/**
 * Has messages go to the queue of all messages with this key, so that they keep their order, in place of a queue that
 * was set before. Each is tried once. Thread-safe.
 */
fr_status_t fr_send_terms_set_ordered_by(struct fr_send_terms_t *terms,
                                         const char *key,
                                         struct fr_error_t **error);

/**
 * Has a send take at most so many milliseconds, 1 or more, in place of the producer's `sendMsgTimeout`. Thread-safe.
 */
fr_status_t fr_send_terms_set_timeout(struct fr_send_terms_t *terms,
                                      uint32_t timeout_ms,
                                      struct fr_error_t **error);

/**
 * Frees the terms of sends. NULL is allowed.
 */
void fr_send_terms_free(struct fr_send_terms_t *terms);

/**
 * Starts a producer of this group. The configuration may be NULL; its keys are in the list "producer". Thread-safe.
 *
 * Gives it into *producer; the program owns it (fr_producer_free).
 */
fr_status_t fr_producer_start(const struct fr_client_t *client,
                              const char *group,
                              const struct fr_config_t *config,
                              struct fr_producer_t **producer,
                              struct fr_error_t **error);

/**
 * Sends a message and waits for the broker's receipt; after a failure another broker is tried, while time is left
 * (`sendMsgTimeout`). After FR_ERROR_TIMEOUT and FR_ERROR_CONNECT it may have been stored all the same. The message
 * stays the program's. Thread-safe.
 *
 * Gives the receipt into *result; the program owns it (fr_send_result_free).
 */
fr_status_t fr_producer_send(const struct fr_producer_t *producer,
                             const struct fr_message_t *message,
                             struct fr_send_result_t **result,
                             struct fr_error_t **error);

/**
 * The same on terms, which may be NULL.
 *
 * Gives the receipt into *result; the program owns it (fr_send_result_free). Thread-safe.
 */
fr_status_t fr_producer_send_with(const struct fr_producer_t *producer,
                                  const struct fr_message_t *message,
                                  const struct fr_send_terms_t *terms,
                                  struct fr_send_result_t **result,
                                  struct fr_error_t **error);

/**
 * Sends a message to this queue. Tried once; else as fr_producer_send.
 */
fr_status_t fr_producer_send_to(const struct fr_producer_t *producer,
                                const struct fr_message_t *message,
                                const struct fr_queue_t *queue,
                                struct fr_send_result_t **result,
                                struct fr_error_t **error);

/**
 * Sends a message to the queue that all messages with this key go to, so that they keep their order. Tried once; else
 * as fr_producer_send.
 */
fr_status_t fr_producer_send_ordered(const struct fr_producer_t *producer,
                                     const struct fr_message_t *message,
                                     const char *key,
                                     struct fr_send_result_t **result,
                                     struct fr_error_t **error);

/**
 * Sends several messages of one topic as one request: stored next to each other in one queue, all or none. Never
 * compressed; together at most `maxMessageSize`. Else as fr_producer_send.
 */
fr_status_t fr_producer_send_batch(const struct fr_producer_t *producer,
                                   const struct fr_message_t *const *messages,
                                   size_t count,
                                   struct fr_send_result_t **result,
                                   struct fr_error_t **error);

/**
 * The same on terms, which may be NULL.
 *
 * Gives the receipt into *result; the program owns it (fr_send_result_free). Thread-safe.
 */
fr_status_t fr_producer_send_batch_with(const struct fr_producer_t *producer,
                                        const struct fr_message_t *const *messages,
                                        size_t count,
                                        const struct fr_send_terms_t *terms,
                                        struct fr_send_result_t **result,
                                        struct fr_error_t **error);

/**
 * Sends a message and waits for nothing but room in the connection. It may get lost. Thread-safe.
 */
fr_status_t fr_producer_send_oneway(const struct fr_producer_t *producer,
                                    const struct fr_message_t *message,
                                    struct fr_error_t **error);

/**
 * The same on terms, which may be NULL. Thread-safe.
 */
fr_status_t fr_producer_send_oneway_with(const struct fr_producer_t *producer,
                                         const struct fr_message_t *message,
                                         const struct fr_send_terms_t *terms,
                                         struct fr_error_t **error);

/**
 * Sends a message and waits for nothing: messages leave in the order of these calls. How it ended is told to the
 * callback, which is called on a thread of the producer's own, one call at a time; without callback (NULL) the
 * completion waits for fr_producer_poll. The message may be freed or changed at once. FR_ERROR_FLOW_CONTROL when
 * 65,536 completions were not taken. Thread-safe.
 */
fr_status_t fr_producer_send_async(const struct fr_producer_t *producer,
                                   const struct fr_message_t *message,
                                   fr_send_callback_t callback,
                                   void *user,
                                   struct fr_error_t **error);

/**
 * The same on terms, which may be NULL. A message that must wait for the broker of its queue holds the later ones back,
 * at most for its timeout. Thread-safe.
 */
fr_status_t fr_producer_send_async_with(const struct fr_producer_t *producer,
                                        const struct fr_message_t *message,
                                        const struct fr_send_terms_t *terms,
                                        fr_send_callback_t callback,
                                        void *user,
                                        struct fr_error_t **error);

/**
 * Sends several messages of one topic as one request, see fr_producer_send_batch, and waits for nothing, as
 * fr_producer_send_async_with: it is one completion. Thread-safe.
 */
fr_status_t fr_producer_send_batch_async_with(const struct fr_producer_t *producer,
                                              const struct fr_message_t *const *messages,
                                              size_t count,
                                              const struct fr_send_terms_t *terms,
                                              fr_send_callback_t callback,
                                              void *user,
                                              struct fr_error_t **error);

/**
 * A descriptor that is readable when fr_producer_poll may have something, for epoll and its like; -1 where there is
 * no such thing. The library's own: only wait for it, never read or close it. Valid as long as the producer.
 * Thread-safe.
 */
int fr_producer_fd(const struct fr_producer_t *producer);

/**
 * Takes up to max completions of asynchronous sends without callback, and waits at most so many milliseconds for one
 * to be there. FR_ERROR_CLOSED when the producer is closed and nothing is left. Thread-safe.
 *
 * Gives them into array, which has room for max handles, and their number into *count; the program owns them
 * (fr_completion_free).
 */
fr_status_t fr_producer_poll(const struct fr_producer_t *producer,
                             struct fr_completion_t **array,
                             size_t max,
                             uint32_t timeout_ms,
                             size_t *count,
                             struct fr_error_t **error);

/**
 * The word given with the send. Thread-safe.
 */
void *fr_completion_user(const struct fr_completion_t *completion);

/**
 * The receipt; NULL if the send failed. Valid as long as the completion. Thread-safe.
 */
const struct fr_send_result_t *fr_completion_result(const struct fr_completion_t *completion);

/**
 * Why the send failed; NULL if it did not. Valid as long as the completion. Thread-safe.
 */
const struct fr_error_t *fr_completion_error(const struct fr_completion_t *completion);

/**
 * Frees a completion. NULL is allowed.
 */
void fr_completion_free(struct fr_completion_t *completion);

/**
 * Sends a request and waits for the reply that its consumer makes with fr_message_ext_reply, both together at most so
 * many milliseconds. Thread-safe.
 *
 * Gives the reply into *reply; the program owns it (fr_message_ext_free).
 */
fr_status_t fr_producer_request(const struct fr_producer_t *producer,
                                const struct fr_message_t *message,
                                uint32_t timeout_ms,
                                struct fr_message_ext_t **reply,
                                struct fr_error_t **error);

/**
 * Takes a message back that is to be delivered later, by the handle of its receipt (fr_send_result_recall_handle).
 * FR_ERROR_BROKER when the broker does not recall, as older ones never do. Thread-safe.
 */
fr_status_t fr_producer_recall(const struct fr_producer_t *producer,
                               const char *topic,
                               const char *recall_handle,
                               struct fr_error_t **error);

/**
 * Ends the producer: further sends are refused (FR_ERROR_CLOSED), and so is what still waits in line after 10 s; those
 * under way are finished and told of, brokers are told. No callback comes after this. Not to be called by a callback.
 * Thread-safe.
 */
fr_status_t fr_producer_close(const struct fr_producer_t *producer,
                              struct fr_error_t **error);

/**
 * Closes and frees a producer; completions that were not taken go with it. NULL is allowed.
 */
void fr_producer_free(struct fr_producer_t *producer);

/**
 * Starts a producer of transactional messages. The configuration may be NULL; its keys are in the list "transaction
 * producer". Brokers' checks wait for fr_transaction_producer_poll, or for a handler given with
 * fr_transaction_producer_handle. Thread-safe.
 *
 * Gives it into *producer; the program owns it (fr_transaction_producer_free).
 */
fr_status_t fr_transaction_producer_start(const struct fr_client_t *client,
                                          const char *group,
                                          const struct fr_config_t *config,
                                          struct fr_transaction_producer_t **producer,
                                          struct fr_error_t **error);

/**
 * The producer of the same group, for messages without transaction. Owned by the transaction producer and valid as
 * long; not to be closed or freed. Thread-safe.
 */
const struct fr_producer_t *fr_transaction_producer_producer(const struct fr_transaction_producer_t *producer);

/**
 * A descriptor that is readable when fr_transaction_producer_poll may have something, as fr_producer_fd. Thread-safe.
 */
int fr_transaction_producer_fd(const struct fr_transaction_producer_t *producer);

/**
 * Takes up to max checks, and waits at most so many milliseconds for one to be there. Each is a delivery of one
 * message, to be answered with FR_COMMIT, FR_ROLLBACK or FR_LATER, on which the broker asks again. FR_ERROR_CLOSED
 * when the producer is closed. Thread-safe.
 *
 * Gives them into array, which has room for max handles, and their number into *count; the program owns them
 * (fr_delivery_answer or fr_delivery_free).
 */
fr_status_t fr_transaction_producer_poll(const struct fr_transaction_producer_t *producer,
                                         struct fr_delivery_t **array,
                                         size_t max,
                                         uint32_t timeout_ms,
                                         size_t *count,
                                         struct fr_error_t **error);

/**
 * Has so many threads of the library's own call this handler for every check. It answers FR_COMMIT, FR_ROLLBACK or
 * FR_LATER; anything else is FR_LATER. Thread-safe.
 */
fr_status_t fr_transaction_producer_handle(const struct fr_transaction_producer_t *producer,
                                           size_t threads,
                                           fr_handler_t handler,
                                           void *user,
                                           struct fr_error_t **error);

/**
 * Sends a half message and waits until the broker has it. Then the program does its local work and says with
 * fr_transaction_end what became of it. A delay level is ignored; the message stays the program's. Thread-safe.
 *
 * Gives the transaction into *transaction; the program owns it (fr_transaction_free).
 */
fr_status_t fr_transaction_begin(const struct fr_transaction_producer_t *producer,
                                 const struct fr_message_t *message,
                                 struct fr_transaction_t **transaction,
                                 struct fr_error_t **error);

/**
 * Names the transaction: a check brings the same id, see fr_message_ext_transaction_id. Valid as long as the
 * transaction. Thread-safe.
 */
const char *fr_transaction_id(const struct fr_transaction_t *transaction);

/**
 * The broker's receipt for the half message. Valid as long as the transaction. Thread-safe.
 */
const struct fr_send_result_t *fr_transaction_half(const struct fr_transaction_t *transaction);

/**
 * Ends a transaction: with FR_COMMIT consumers get the message, with FR_ROLLBACK nobody, and with FR_LATER the broker
 * asks. FR_ERROR_CONFIG for another answer, and when it was ended before. Thread-safe.
 */
fr_status_t fr_transaction_end(const struct fr_transaction_t *transaction,
                               int32_t answer,
                               struct fr_error_t **error);

/**
 * Frees a transaction. If it was not ended, the broker will ask. NULL is allowed.
 */
void fr_transaction_free(struct fr_transaction_t *transaction);

/**
 * Ends the producer as fr_producer_close; checks under way are still answered, and no more are taken.
 */
fr_status_t fr_transaction_producer_close(const struct fr_transaction_producer_t *producer,
                                          struct fr_error_t **error);

/**
 * Closes and frees a producer. NULL is allowed.
 */
void fr_transaction_producer_free(struct fr_transaction_producer_t *producer);

/**
 * Starts a consumer of this group with the subscriptions of its configuration; its keys are in the list "push
 * consumer". The order is one of fr_order_t. Deliveries wait for fr_push_consumer_poll, or for a handler given with
 * fr_push_consumer_handle; the thresholds of pulling bound what waits. Thread-safe.
 *
 * Gives it into *consumer; the program owns it (fr_push_consumer_free).
 */
fr_status_t fr_push_consumer_start(const struct fr_client_t *client,
                                   const char *group,
                                   const struct fr_config_t *config,
                                   int32_t order,
                                   struct fr_push_consumer_t **consumer,
                                   struct fr_error_t **error);

/**
 * A descriptor that is readable when fr_push_consumer_poll may have something, for epoll and its like; -1 where there
 * is no such thing. The library's own: only wait for it, never read or close it. Valid as long as the consumer.
 * Thread-safe.
 */
int fr_push_consumer_fd(const struct fr_push_consumer_t *consumer);

/**
 * Takes up to max deliveries, and waits at most so many milliseconds for one to be there. What was taken is to be
 * answered within `consumeTimeout`; later it is given back to the broker. FR_ERROR_CLOSED when the consumer is closed.
 * Thread-safe.
 *
 * Gives them into array, which has room for max handles, and their number into *count; the program owns them
 * (fr_delivery_answer, fr_deliveries_ack or fr_delivery_free).
 */
fr_status_t fr_push_consumer_poll(const struct fr_push_consumer_t *consumer,
                                  struct fr_delivery_t **array,
                                  size_t max,
                                  uint32_t timeout_ms,
                                  size_t *count,
                                  struct fr_error_t **error);

/**
 * Has so many threads of the library's own call this handler for every delivery, up to 1,000 in all. Thread-safe.
 */
fr_status_t fr_push_consumer_handle(const struct fr_push_consumer_t *consumer,
                                    size_t threads,
                                    fr_handler_t handler,
                                    void *user,
                                    struct fr_error_t **error);

/**
 * The messages of a delivery: one, or several of an orderly consumer. Valid as long as the delivery. Thread-safe.
 */
const struct fr_messages_t *fr_delivery_messages(const struct fr_delivery_t *delivery);

/**
 * Answers a delivery with one of fr_answer_t and frees it, whatever this returns. For FR_LATER the argument is, of a
 * concurrent delivery, the delay level (1 to 18 by default, 0 lets the broker choose by the number of attempts, -1
 * makes it a dead letter at once), of an orderly one the pause in milliseconds (0 for the consumer's own). An answer
 * that there is not is FR_ERROR_CONFIG and counts as FR_LATER.
 */
fr_status_t fr_delivery_answer(struct fr_delivery_t *delivery,
                               int32_t answer,
                               int32_t argument,
                               struct fr_error_t **error);

/**
 * Answers so many deliveries with FR_SUCCESS and frees them. NULL in the array is passed over; for what is no delivery
 * nothing is done, and FR_ERROR_CONFIG the answer.
 */
fr_status_t fr_deliveries_ack(struct fr_delivery_t *const *deliveries,
                              size_t count,
                              struct fr_error_t **error);

/**
 * Frees a delivery as not answered: as FR_LATER. NULL is allowed.
 */
void fr_delivery_free(struct fr_delivery_t *delivery);

/**
 * Subscribes to another topic, or to the same by another expression, of a kind of fr_expression_t. Thread-safe.
 */
fr_status_t fr_push_consumer_subscribe(const struct fr_push_consumer_t *consumer,
                                       const char *topic,
                                       const char *expression,
                                       int32_t kind,
                                       struct fr_error_t **error);

/**
 * Gives a topic up. Thread-safe.
 */
fr_status_t fr_push_consumer_unsubscribe(const struct fr_push_consumer_t *consumer,
                                         const char *topic,
                                         struct fr_error_t **error);

/**
 * Takes nothing more from brokers, until fr_push_consumer_resume. Thread-safe.
 */
fr_status_t fr_push_consumer_suspend(const struct fr_push_consumer_t *consumer, struct fr_error_t **error);

/**
 * Goes on after fr_push_consumer_suspend. Thread-safe.
 */
fr_status_t fr_push_consumer_resume(const struct fr_push_consumer_t *consumer, struct fr_error_t **error);

/**
 * The queues that the consumer has at the moment. Thread-safe.
 *
 * Gives them into *list; the program owns them (fr_queues_free).
 */
fr_status_t fr_push_consumer_queues(const struct fr_push_consumer_t *consumer,
                                    struct fr_queues_t **list,
                                    struct fr_error_t **error);

/**
 * Ends the consumer: it stops pulling, waits at most `awaitTerminationMillisWhenShutdown` (30 s) for what the program
 * was given to be answered, stores the offsets and unregisters. No handler is called after this. Not to be called by a
 * callback. Thread-safe.
 */
fr_status_t fr_push_consumer_close(const struct fr_push_consumer_t *consumer,
                                   struct fr_error_t **error);

/**
 * Closes and frees a consumer. NULL is allowed.
 */
void fr_push_consumer_free(struct fr_push_consumer_t *consumer);

/**
 * Starts a consumer of this group: with the subscriptions of its configuration, or with none, to be given queues by
 * fr_lite_pull_consumer_assign. The configuration may be NULL; its keys are in the list "lite pull consumer".
 * Thread-safe.
 *
 * Gives it into *consumer; the program owns it (fr_lite_pull_consumer_free).
 */
fr_status_t fr_lite_pull_consumer_start(const struct fr_client_t *client,
                                        const char *group,
                                        const struct fr_config_t *config,
                                        struct fr_lite_pull_consumer_t **consumer,
                                        struct fr_error_t **error);

/**
 * Subscribes to another topic, or to the same by another expression, of a kind of fr_expression_t. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_subscribe(const struct fr_lite_pull_consumer_t *consumer,
                                            const char *topic,
                                            const char *expression,
                                            int32_t kind,
                                            struct fr_error_t **error);

/**
 * Gives a topic up. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_unsubscribe(const struct fr_lite_pull_consumer_t *consumer,
                                              const char *topic,
                                              struct fr_error_t **error);

/**
 * Pulls exactly these queues from now on, whoever else is in the group. FR_ERROR_CONFIG for a consumer with
 * subscriptions. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_assign(const struct fr_lite_pull_consumer_t *consumer,
                                         const struct fr_queue_t *const *start,
                                         size_t count,
                                         struct fr_error_t **error);

/**
 * The queues that the consumer pulls at the moment. Thread-safe.
 *
 * Gives them into *list; the program owns them (fr_queues_free).
 */
fr_status_t fr_lite_pull_consumer_assignment(const struct fr_lite_pull_consumer_t *consumer,
                                             struct fr_queues_t **list,
                                             struct fr_error_t **error);

/**
 * The queues of a topic, to assign some of them. Thread-safe.
 *
 * Gives them into *list; the program owns them (fr_queues_free).
 */
fr_status_t fr_lite_pull_consumer_fetch_queues(const struct fr_lite_pull_consumer_t *consumer,
                                               const char *topic,
                                               struct fr_queues_t **list,
                                               struct fr_error_t **error);

/**
 * The next messages, all of one queue and in its order, at most `pullBatchSize`; none when so many milliseconds
 * passed without any. Waits on the calling thread. Thread-safe; a program that polls from several threads should
 * commit by itself.
 *
 * Gives them into *messages, an empty list for none; the program owns them (fr_messages_free).
 */
fr_status_t fr_lite_pull_consumer_poll(const struct fr_lite_pull_consumer_t *consumer,
                                       uint32_t timeout_ms,
                                       struct fr_messages_t **messages,
                                       struct fr_error_t **error);

/**
 * Goes on at this offset of a queue; messages of it in memory are thrown away. FR_ERROR_CONFIG for a queue that is
 * not assigned, and an offset that it does not have. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_seek(const struct fr_lite_pull_consumer_t *consumer,
                                       const struct fr_queue_t *queue,
                                       int64_t offset,
                                       struct fr_error_t **error);

/**
 * Goes on at the first message that the queue still has. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_seek_to_begin(const struct fr_lite_pull_consumer_t *consumer,
                                                const struct fr_queue_t *queue,
                                                struct fr_error_t **error);

/**
 * Goes on behind the last message of the queue. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_seek_to_end(const struct fr_lite_pull_consumer_t *consumer,
                                              const struct fr_queue_t *queue,
                                              struct fr_error_t **error);

/**
 * Goes on at the first message stored at this time, milliseconds since 1970, or later. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_seek_to_time(const struct fr_lite_pull_consumer_t *consumer,
                                               const struct fr_queue_t *queue,
                                               int64_t time_ms,
                                               struct fr_error_t **error);

/**
 * Pulls these queues no more, until fr_lite_pull_consumer_resume. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_pause(const struct fr_lite_pull_consumer_t *consumer,
                                        const struct fr_queue_t *const *start,
                                        size_t count,
                                        struct fr_error_t **error);

/**
 * Goes on with these queues. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_resume(const struct fr_lite_pull_consumer_t *consumer,
                                         const struct fr_queue_t *const *start,
                                         size_t count,
                                         struct fr_error_t **error);

/**
 * Stores that everything handed out so far is consumed, and waits until brokers have confirmed it. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_commit(const struct fr_lite_pull_consumer_t *consumer,
                                         struct fr_error_t **error);

/**
 * Stores this offset of a queue, that of the next message to consume, and waits for the broker. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_commit_offset(const struct fr_lite_pull_consumer_t *consumer,
                                                const struct fr_queue_t *queue,
                                                int64_t offset,
                                                struct fr_error_t **error);

/**
 * The committed offset of a queue into *offset: what this consumer committed last, else what the group has stored;
 * -1 for none. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_committed(const struct fr_lite_pull_consumer_t *consumer,
                                            const struct fr_queue_t *queue,
                                            int64_t *offset,
                                            struct fr_error_t **error);

/**
 * The offset of a queue's first message stored at this time, milliseconds since 1970, or later, into *offset.
 * Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_offset_for_timestamp(const struct fr_lite_pull_consumer_t *consumer,
                                                       const struct fr_queue_t *queue,
                                                       int64_t time_ms,
                                                       int64_t *offset,
                                                       struct fr_error_t **error);

/**
 * Stops pulling, stores the offsets and unregisters. With automatic commits everything handed out counts as
 * consumed. Other calls answer FR_ERROR_CLOSED from then on. Thread-safe.
 */
fr_status_t fr_lite_pull_consumer_close(const struct fr_lite_pull_consumer_t *consumer,
                                        struct fr_error_t **error);

/**
 * Closes and frees a consumer. NULL is allowed.
 */
void fr_lite_pull_consumer_free(struct fr_lite_pull_consumer_t *consumer);

/**
 * Makes a topic on every broker, or gives it these settings where it is. perm has 2 for writing and 4 for reading, 6
 * for both. Thread-safe.
 */
fr_status_t fr_admin_create_topic(const struct fr_client_t *client,
                                  const char *topic,
                                  int32_t read_queues,
                                  int32_t write_queues,
                                  int32_t perm,
                                  struct fr_error_t **error);

/**
 * Removes a topic from every broker, then from the NameServer. Thread-safe.
 */
fr_status_t fr_admin_delete_topic(const struct fr_client_t *client,
                                  const char *topic,
                                  struct fr_error_t **error);

/**
 * Makes a consumer group on every broker, or gives it this setting: how often a failed message comes again before it
 * becomes a dead letter. Thread-safe.
 */
fr_status_t fr_admin_create_group(const struct fr_client_t *client,
                                  const char *group,
                                  int32_t retry_max,
                                  struct fr_error_t **error);

/**
 * Removes a consumer group and its offsets from every broker. Thread-safe.
 */
fr_status_t fr_admin_delete_group(const struct fr_client_t *client,
                                  const char *group,
                                  struct fr_error_t **error);

/**
 * The names of all topics, those of RocketMQ's own among them. Thread-safe.
 *
 * Gives them into *names; the program owns them (fr_names_free).
 */
fr_status_t fr_admin_topics(const struct fr_client_t *client,
                            struct fr_names_t **names,
                            struct fr_error_t **error);

/**
 * The brokers of all clusters, each as `CLUSTER NAME ID ADDRESS`, where id 0 is a master. Thread-safe.
 *
 * Gives them into *names; the program owns them (fr_names_free).
 */
fr_status_t fr_admin_brokers(const struct fr_client_t *client,
                             struct fr_names_t **names,
                             struct fr_error_t **error);

/**
 * The brokers that have a topic, each as `NAME READ_QUEUES WRITE_QUEUES PERM`. FR_ERROR_NO_ROUTE when none has it.
 * Thread-safe.
 *
 * Gives them into *names; the program owns them (fr_names_free).
 */
fr_status_t fr_admin_topic_route(const struct fr_client_t *client,
                                 const char *topic,
                                 struct fr_names_t **names,
                                 struct fr_error_t **error);

/**
 * The ids of the clients that consume in a group, as a broker of the topic sees it; none when nobody is connected.
 * Thread-safe.
 *
 * Gives them into *names; the program owns them (fr_names_free).
 */
fr_status_t fr_admin_consumers(const struct fr_client_t *client,
                               const char *group,
                               const char *topic,
                               struct fr_names_t **names,
                               struct fr_error_t **error);

/**
 * The offset of the first message of every queue of a topic, and that behind the last. Thread-safe.
 *
 * Gives them into *offsets; the program owns them (fr_offsets_free).
 */
fr_status_t fr_admin_topic_stats(const struct fr_client_t *client,
                                 const char *topic,
                                 struct fr_offsets_t **offsets,
                                 struct fr_error_t **error);

/**
 * How far a group is in every queue of a topic, and the offset behind the queue's last message. Thread-safe.
 *
 * Gives them into *offsets; the program owns them (fr_offsets_free).
 */
fr_status_t fr_admin_consume_stats(const struct fr_client_t *client,
                                   const char *group,
                                   const char *topic,
                                   struct fr_offsets_t **offsets,
                                   struct fr_error_t **error);

/**
 * Has a group go on, in every queue of a topic, with the first message stored at this time, milliseconds since 1970,
 * or later. Thread-safe.
 *
 * Gives where that is into *offsets, the same twice; the program owns them (fr_offsets_free).
 */
fr_status_t fr_admin_reset_offset(const struct fr_client_t *client,
                                  const char *group,
                                  const char *topic,
                                  int64_t time_ms,
                                  struct fr_offsets_t **offsets,
                                  struct fr_error_t **error);

/**
 * The message with this offset message id (fr_message_ext_offset_msg_id, fr_send_result_offset_msg_id). Thread-safe.
 *
 * Gives it into *message; the program owns it (fr_message_ext_free).
 */
fr_status_t fr_admin_view_message(const struct fr_client_t *client,
                                  const char *topic,
                                  const char *offset_msg_id,
                                  struct fr_message_ext_t **message,
                                  struct fr_error_t **error);

/**
 * Up to max messages of a topic with this key (fr_message_add_key), stored between the two times, milliseconds since
 * 1970, the oldest first. Thread-safe.
 *
 * Gives them into *messages; the program owns them (fr_messages_free).
 */
fr_status_t fr_admin_query_message(const struct fr_client_t *client,
                                   const char *topic,
                                   const char *key,
                                   uint16_t max,
                                   int64_t begin_ms,
                                   int64_t end_ms,
                                   struct fr_messages_t **messages,
                                   struct fr_error_t **error);

/**
 * The message with this id of its producer (fr_send_result_msg_id). Thread-safe.
 *
 * Gives it into *messages, an empty list when there is none; the program owns it (fr_messages_free).
 */
fr_status_t fr_admin_query_message_by_id(const struct fr_client_t *client,
                                         const char *topic,
                                         const char *msg_id,
                                         struct fr_messages_t **messages,
                                         struct fr_error_t **error);

/**
 * How many there are. Thread-safe.
 */
size_t fr_names_count(const struct fr_names_t *names);

/**
 * The name with this number, from 0; NULL from their count on. Valid as long as the list. Thread-safe.
 */
const char *fr_names_at(const struct fr_names_t *names, size_t at);

/**
 * Frees names. NULL is allowed.
 */
void fr_names_free(struct fr_names_t *names);

/**
 * How many queues there are. Thread-safe.
 */
size_t fr_offsets_count(const struct fr_offsets_t *offsets);

/**
 * The queue with this number, from 0; NULL from their count on. Valid as long as the list. Thread-safe.
 */
const struct fr_queue_t *fr_offsets_queue(const struct fr_offsets_t *offsets, size_t at);

/**
 * The first offset of the queue with this number; -1 from their count on. Thread-safe.
 */
int64_t fr_offsets_first(const struct fr_offsets_t *offsets, size_t at);

/**
 * The second offset of the queue with this number; -1 from their count on. Thread-safe.
 */
int64_t fr_offsets_second(const struct fr_offsets_t *offsets, size_t at);

/**
 * Frees offsets. NULL is allowed.
 */
void fr_offsets_free(struct fr_offsets_t *offsets);

/**
 * Starts servers; they serve when this returns. The configuration has the Broker's settings by their names in
 * broker.conf, for instance `messageDelayLevel`; it may be NULL. Thread-safe.
 *
 * Gives them into *broker; the program owns them (fr_testing_broker_free).
 */
fr_status_t fr_testing_broker_start(const struct fr_config_t *config,
                                    struct fr_testing_broker_t **broker,
                                    struct fr_error_t **error);

/**
 * Where the NameServer listens, for `namesrvAddr`. Valid as long as the servers' handle. Thread-safe.
 */
const char *fr_testing_broker_namesrv_addr(const struct fr_testing_broker_t *broker);

/**
 * Turns the Broker's clock on by so many milliseconds: delayed messages and retries that are due then are delivered
 * now, transactions asked about. Thread-safe.
 */
fr_status_t fr_testing_broker_advance(const struct fr_testing_broker_t *broker,
                                      uint64_t by_ms,
                                      struct fr_error_t **error);

/**
 * Stops and frees the servers. NULL is allowed.
 */
void fr_testing_broker_free(struct fr_testing_broker_t *broker);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FERROCKET_H */
