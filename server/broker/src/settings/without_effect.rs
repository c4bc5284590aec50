//! Java's settings that are accepted and do nothing here, with the reason: a table of the book, a warning at start and a
//! remark at runtime come from it. Thread pools, queues before them and Netty's buffers are in
//! [`ferrocket_protocol::settings::JAVA_ONLY_KEYS`].

/// Why, and the keys with blanks between.
pub(super) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "Requests are served where they are read, without queues in which they could grow old. Who sends faster than the Broker \
         stores is no longer read from; see [limits](limits.md).",
        "brokerFastFailureEnable enableNetWorkFlowControl maxAsyncPutMessageRequests \
         waitTimeMillsInAckQueue waitTimeMillsInAdminBrokerQueue waitTimeMillsInHeartbeatQueue \
         waitTimeMillsInLitePullQueue waitTimeMillsInPullQueue waitTimeMillsInSendQueue \
         waitTimeMillsInTransactionQueue",
    ),
    (
        "There are no slaves in this version.",
        "allAckInSyncStateSet asyncLearner cleanOfflineBrokerInterval duplicationEnable \
         enableAutoInSyncReplicas enableRemoteEscape enableSlaveActingMaster haFlowControlEnable \
         haHousekeepingInterval haMasterAddress haMaxGapNotInSync haMaxTimeSlaveNotCatchup \
         haSendHeartbeatInterval haSlaveFallbehindMax haTransferBatchSize inSyncReplicas lockInStrictMode \
         maxChecksumRange maxHaTransferByteInSecond maxSlaveResendLength minInSyncReplicas \
         offsetCheckInSlave skipPreOnline slaveTimeout syncBrokerMemberGroupPeriod syncFromLastFile \
         syncMasterFlushOffsetWhenStartup totalReplicas",
    ),
    (
        "There is neither DLedger nor a controller: `enableDLegerCommitLog=true` is refused.",
        "brokerElectionPriority brokerHeartbeatInterval brokerNotActiveTimeoutMillis \
         checkSyncStateSetPeriod compatibleWithOldNameSrv controllerAddr controllerHeartBeatTimeoutMills \
         dLegerGroup dLegerPeers dLegerSelfId enableBatchPush enableControllerMode \
         fetchControllerAddrByDnsLookup isBrokerContainer isEnableBatchPush isInBrokerContainer \
         logicalDiskSpaceCleanForciblyThreshold preferredLeaderId replicasPerDiskPartition \
         sendHeartbeatTimeoutMillis storePathBrokerIdentity storePathDLedgerCommitLog storePathEpochFile \
         syncBrokerMetadataPeriod syncControllerMetadataPeriod",
    ),
    (
        "Follows from `maxErrorRateOfBloomFilter` and `expectConsumerNumUseFilter`, as in Java.",
        "bitMapLengthConsumeQueueExt",
    ),
    ("A pull looks at 800 entries, or at as many as it may answer with.", "maxFilterMessageSize"),
    ("Always so: a start completes the index wherever it ends.", "messageIndexSafe"),
    (
        "A flush comes `flushIntervalCommitLog` after a message and takes all there is.",
        "flushCommitLogThoroughInterval flushCommitLogTimed putMessageTimeout wakeCommitWhenPutMessage \
         wakeFlushWhenPutMessage",
    ),
    (
        "Expired files go without pauses, at most ten segments in a round.",
        "correctLogicMinOffsetForceInterval correctLogicMinOffsetSleepInterval \
         deleteCommitLogFilesInterval deleteConsumeQueueFilesInterval deleteFileBatchMax \
         maxBatchDeleteFilesNum",
    ),
    (
        "Due messages are always delivered in groups, with nothing pending behind them.",
        "delayOffsetUpdateVersionStep enableScheduleAsyncDeliver scheduleAsyncDeliverMaxPendingLimit \
         scheduleAsyncDeliverMaxResendNum2Blocked",
    ),
    ("What may change at runtime is fixed: the rows above with *yes*.", "configBlackList"),
    (
        "NameServers are told by `namesrvAddr`, or by the address server every two minutes.",
        "fetchNameSrvAddrByDnsLookup fetchNamesrvAddrInterval updateNameServerAddrPeriod",
    ),
    (
        "5.x: POP, acknowledging single messages, and assignment by the Broker.",
        "appendAckAsync appendCkAsync clearRetryTopicWhenDeleteTopic defaultMessageRequestMode \
         defaultPopShareQueueNum enableNotifyAfterPopOrderLockRelease enableNotifyBeforePopCalculateLag \
         enablePopBatchAck enablePopBufferMerge enablePopLog enablePopMessageThreshold enableRetryTopicV2 \
         enableSkipLongAwaitingAck initPopOffsetByCheckMsgInMem litePullMessageEnable \
         loadBalancePollNameServerInterval maxPopPollingSize popCkMaxBufferSize popCkOffsetMaxQueueSize \
         popCkStayBufferTime popCkStayBufferTimeOut popConsumerFSServiceInit popConsumerKVServiceEnable \
         popConsumerKVServiceInit popConsumerKVServiceLog popFromRetryProbability \
         popInflightMessageThreshold popLongPollingForceNotifyInterval popPollingMapSize popPollingSize \
         popResponseReturnActualRetryTopic popReviveMaxAttemptTimes popReviveMaxReturnSizePerRead \
         retrieveMessageFromPopRetryTopicV1 reviveAckWaitMs reviveInterval reviveMaxSlow reviveQueueNum \
         reviveScanTime serverLoadBalancerEnable skipWhenCKRePutReachMaxTimes",
    ),
    (
        "5.x: messages for any time (timer), and taking them back.",
        "allowRecallWhenBrokerNotWriteable disappearTimeAfterStart mappedFileSizeTimerLog \
         recallMessageEnable timerCheckMetricsWhen timerColdDataCheckIntervalMs timerCongestNumEachSlot \
         timerEnableCheckMetrics timerEnableDisruptor timerEnableRetryUntilSuccess timerFlushIntervalMs \
         timerGetMessageThreadNum timerInterceptDelayLevel timerMaxDelaySec timerMetricSmallThreshold \
         timerPrecisionMs timerProgressLogIntervalMs timerPutMessageThreadNum timerRollWindowSlot \
         timerSkipUnknownError timerStopDequeue timerStopEnqueue timerWarmEnable timerWheelEnable",
    ),
    (
        "5.x: compacted topics, batch queues and RocksDB.",
        "bottomMostCompressionTypeForConsumeQueueStore cleanRocksDBDirtyCQIntervalMin \
         compactionCqMappedFileSize compactionMappedFileSize compactionScheduleInternal \
         compactionThreadNum configManagerVersion enableCompaction enableRocksDBLog \
         mapperFileSizeBatchConsumeQueue maxOffsetMapSize memTableFlushIntervalMs \
         realTimePersistRocksDBConfig rocksdbCQDoubleWriteEnable rocksdbCompressionType \
         rocksdbFlushWalFrequency rocksdbWalFileRollingThreshold searchBcqByCacheEnable \
         statRocksDBCQIntervalSec storeType",
    ),
    (
        "5.x: metrics exporters and further statistics.",
        "accountStatsEnable accountStatsPrintZeroValues enableLmqStats estimateAccumulation \
         maxConsumeQueueScan maxStatsIdleTimeInMinutes metricGrpcExporterIntervalInMills \
         metricGrpcExporterTimeOutInMills metricLoggingExporterIntervalInMills metricsExporterType \
         metricsGrpcExporterHeader metricsGrpcExporterTarget metricsInDelta metricsLabel \
         metricsOtelCardinalityLimit metricsPromExporterHost metricsPromExporterPort printChannelGroups \
         printChannelGroupsMinNum sampleCountThreshold sampleSteps transactionMetricFlushInterval",
    ),
    (
        "5.x: control of reads that are not in memory.",
        "cgColdReadThreshold coldCtrStrategyEnable coldDataFlowControlEnable coldDataScanEnable \
         dataReadAheadEnable globalColdReadThreshold usePIDColdCtrStrategy",
    ),
    (
        "5.x: what its other features and threads are tuned with.",
        "asyncSendEnable autoMessageVersionOnTopicLen broadcastOffsetExpireMaxSecond \
         broadcastOffsetExpireSecond channelExpiredTimeout cleanSwapedMapInterval \
         commitLogForceSwapMapInterval commitLogSwapMapInterval commitLogSwapMapReserveFileNum \
         consumerOffsetUpdateVersionStep dispatchCqCacheNum dispatchFromSenderThread enableAsyncReput \
         enableBroadcastOffsetStore enableBuildConsumeQueueConcurrently enableCleanExpiredOffset \
         enableCreateSysGroup enableFastChannelEventProcess enableMixedMessageType enableRegisterProducer \
         enableShutdownGracefully enableSingleTopicRegister enableSplitRegistration enabledAppendPropCRC \
         forceVerifyPropCRC forwardTimeout logicQueueForceSwapMapInterval logicQueueSwapMapInterval \
         logicQueueSwapMapReserveFileNum mappedFileSwapEnable maxRecoveryCommitlogFiles maxTopicLength \
         pullBatchMaxMessageCount putConsumeQueueDataByFileChannel readUnCommitted \
         realTimeNotifyConsumerChange recheckReputOffsetFromCq recoverConcurrently \
         rejectPullConsumerEnable shutdownWaitTimeSeconds spinLockCollisionRetreatOptimalDegree \
         splitRegistrationSize subscriptionExpiredTimeout topicQueueLockNum transactionOpBatchInterval \
         transactionOpMsgMaxSize travelCqFileNumWhenGetMessage useABSLock useServerSideResetOffset \
         useStaticSubscription validateSystemTopicWhenUpdateTopic",
    ),
];
