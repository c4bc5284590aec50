//! What is asked: a valid sample of each request that a Broker or NameServer of 4.9 receives, and of those of 5.x that
//! ours serves, and what each sample becomes with a field left out, with a text where a number belongs, at the edge of its numbers, for unknown
//! topics and groups, without permission.
//!
//! The first samples make the state that the others ask for; those that change much stand last.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferrocket_protocol::batch::{self, BatchMessage};
use ferrocket_protocol::{ExtFields, RemotingCommand, RequestCode, Text};

use RequestCode as Code;

/// One request.
#[derive(Clone, Debug)]
pub struct Case {
    /// Code and variant: `30 without topic`.
    pub name: String,
    /// The request's code.
    pub request: RequestCode,
    /// Whether the client asks it, whose connection the server knows.
    pub from_client: bool,
    /// The name under which the answer's message id is kept.
    pub keep: Option<&'static str>,
    /// Whether what was sent before must have reached its queues.
    pub settled: bool,
    /// Whether what was delayed before must have been delivered as well.
    pub delivered: bool,
    /// Whether the queue and the offset of a send depend on how many sends were refused before.
    pub loose: bool,
    fields: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Case {
    /// The request; `{name}` in a field becomes the message id kept under that name, `{name+}` its offset.
    pub fn command(&self, kept: &BTreeMap<&'static str, String>) -> RemotingCommand {
        let mut request = RemotingCommand::request(self.request, &ferrocket_protocol::requests::Empty);
        request.ext_fields = self
            .fields
            .iter()
            .map(|(name, value)| (Text::from_static(name), Text::from(fill(value, kept))))
            .collect::<ExtFields>();
        request.body = self.body.clone();
        request
    }
}

fn fill(value: &str, kept: &BTreeMap<&'static str, String>) -> String {
    let mut text = value.to_owned();
    for (name, id) in kept {
        let offset = id.get(16..32).and_then(|hex| i64::from_str_radix(hex, 16).ok()).unwrap_or(0);
        text = text.replace(&format!("{{{name}}}"), id).replace(&format!("{{{name}+}}"), &offset.to_string());
    }
    text
}

/// A valid request and what is made of it.
struct Sample {
    request: RequestCode,
    variant: &'static str,
    fields: Vec<(&'static str, String)>,
    body: Bytes,
    from_client: bool,
    keep: Option<&'static str>,
    settled: bool,
    delivered: bool,
    derive: bool,
    left_out: &'static [&'static str],
}

fn ask(request: RequestCode) -> Sample {
    Sample {
        request,
        variant: "valid",
        fields: Vec::new(),
        body: Bytes::new(),
        from_client: false,
        keep: None,
        settled: false,
        delivered: false,
        derive: true,
        left_out: &[],
    }
}

impl Sample {
    fn with<const N: usize>(mut self, fields: [(&'static str, &str); N]) -> Self {
        self.fields.extend(fields.map(|(name, value)| (name, value.to_owned())));
        self
    }

    fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// A variant of its own, of which no others are made.
    fn only(mut self, variant: &'static str) -> Self {
        self.variant = variant;
        self.derive = false;
        self
    }

    fn keep(mut self, name: &'static str) -> Self {
        self.keep = Some(name);
        self
    }

    fn by_client(mut self) -> Self {
        self.from_client = true;
        self
    }

    /// Asks once what was sent before has reached its queues.
    fn settled(mut self) -> Self {
        self.settled = true;
        self
    }

    /// Asks once what was delayed before has been delivered.
    fn delivered(mut self) -> Self {
        self.delivered = true;
        self.settled()
    }

    /// Leaves out variants after which what follows would say nothing.
    fn leaving_out(mut self, variants: &'static [&'static str]) -> Self {
        self.left_out = variants;
        self
    }

    fn cases(self, out: &mut Vec<Case>) {
        let case = |variant: &str, change: Option<(&'static str, Option<&str>)>, body: Option<Bytes>| {
            let mut fields = self.fields.clone();
            if let Some((name, value)) = change {
                match value {
                    None => fields.retain(|(field, _)| *field != name),
                    Some(value) => {
                        fields
                            .iter_mut()
                            .filter(|(field, _)| *field == name)
                            .for_each(|f| f.1 = value.to_owned());
                    }
                }
            }
            Case {
                name: format!("{} {variant}", self.request.code()),
                request: self.request,
                from_client: self.from_client,
                keep: self.keep.filter(|_| change.is_none() && body.is_none()),
                settled: self.settled && change.is_none(),
                delivered: self.delivered && change.is_none(),
                loose: self.derive,
                fields,
                body: body.unwrap_or_else(|| self.body.clone()),
            }
        };
        out.push(case(self.variant, None, None));
        if !self.derive {
            return;
        }
        let mut made = Vec::new();
        for (name, value) in &self.fields {
            let name = *name;
            made.push(case(&format!("without {name}"), Some((name, None)), None));
            match kind(self.request, name, value) {
                Kind::Topic => made.push(case("unknown topic", Some((name, Some("NoSuchTopic"))), None)),
                Kind::Group => {
                    made.push(case(&format!("unknown {name}"), Some((name, Some("NoSuchGroup"))), None));
                }
                Kind::Number(most) => {
                    made.push(case(&format!("wrong {name}"), Some((name, Some("x1"))), None));
                    made.push(case(&format!("{name}=-1"), Some((name, Some("-1"))), None));
                    made.push(case(&format!("{name}={most}"), Some((name, Some(most))), None));
                }
                Kind::Other => {}
            }
        }
        if !self.body.is_empty() {
            made.push(case("without body", None, Some(Bytes::new())));
            made.push(case("wrong body", None, Some(Bytes::from_static(b"{\"x"))));
        }
        made.retain(|case| !self.left_out.iter().any(|variant| case.name.ends_with(variant)));
        out.extend(made);
    }
}

enum Kind {
    Topic,
    Group,
    /// With the greatest of its type.
    Number(&'static str),
    Other,
}

const INT_MAX: &str = "2147483647";
const LONG_MAX: &str = "9223372036854775807";

fn kind(request: RequestCode, name: &str, value: &str) -> Kind {
    let short = matches!(request, Code::SendMessageV2 | Code::SendBatchMessage | Code::SendReplyMessageV2);
    let field = request.header_fields().iter().find(|field| field.name == name);
    match (name, field.map(|field| field.kind)) {
        ("b", _) if short => Kind::Topic,
        ("a" | "c" | "i" | "k" | "m", _) if short => Kind::Other,
        ("g", _) if short => Kind::Number(LONG_MAX),
        _ if short => Kind::Number(INT_MAX),
        ("topic", _) => Kind::Topic,
        ("consumerGroup" | "group" | "groupName" | "producerGroup" | "srcGroup" | "compareGroup", _) => {
            Kind::Group
        }
        (_, Some("int")) if value.parse::<i32>().is_ok() => Kind::Number(INT_MAX),
        (_, Some("int" | "long")) => Kind::Number(LONG_MAX),
        _ => Kind::Other,
    }
}

/// Codes of requests that only 5.x knows and ours serves: answered as 5.3.3 does.
pub const OF_5: [&str; 7] = ["18", "225", "343", "345", "351", "352", "361"];

const TOPIC: &str = "Orders";
const GROUP: &str = "billing";
const LIVE_GROUP: &str = "live-consumers";
const LIVE_CLIENT: &str = "10.0.0.9@77";

/// Every case, in order.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let samples = [state(), questions(), namesrv(), sends(), forbidden(), of_5(), changes()];
    samples.into_iter().flatten().for_each(|sample| sample.cases(&mut cases));
    cases
}

fn topic(name: &str) -> Sample {
    ask(Code::UpdateAndCreateTopic).with([
        ("topic", name),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "4"),
        ("writeQueueNums", "4"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ])
}

fn group(name: &str) -> Sample {
    let body = format!(
        r#"{{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"groupName":"{name}","notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}}"#
    );
    ask(Code::UpdateAndCreateSubscriptiongroup).body(body)
}

fn properties(number: usize) -> String {
    format!(
        "KEYS\u{1}key-{number}\u{2}UNIQ_KEY\u{1}uniq-{number}\u{2}WAIT\u{1}true\u{2}TAGS\u{1}T{}\u{2}",
        number % 2
    )
}

fn send(topic: &str, queue: &str, number: usize) -> Sample {
    ask(Code::SendMessageV2)
        .with([
            ("a", "live-producers"),
            ("b", topic),
            ("c", "TBW102"),
            ("d", "4"),
            ("e", queue),
            ("f", "0"),
            ("g", "1700000000000"),
            ("h", "0"),
            ("i", &properties(number)),
            ("j", "0"),
            ("k", "false"),
            ("m", "false"),
        ])
        .body(format!("body {number}"))
}

fn heartbeat() -> String {
    let subscription = |topic: &str| {
        format!(
            r#"{{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1700000000000,"tagsSet":[],"topic":"{topic}"}}"#
        )
    };
    format!(
        r#"{{"clientID":"{LIVE_CLIENT}","consumerDataSet":[{{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"{LIVE_GROUP}","messageModel":"CLUSTERING","subscriptionDataSet":[{},{}],"unitMode":false}}],"producerDataSet":[{{"groupName":"live-producers"}}]}}"#,
        subscription(TOPIC),
        subscription(&format!("%RETRY%{LIVE_GROUP}")),
    )
}

/// Makes the state.
fn state() -> Vec<Sample> {
    let mut samples: Vec<Sample> =
        [TOPIC, "Empty", "Sends", "Variants", "Doomed"].map(|name| topic(name).only("create topic")).into();
    samples.extend([GROUP, LIVE_GROUP, "doomed-group"].map(|name| group(name).only("create group")));
    samples.push(ask(Code::HeartBeat).body(heartbeat()).by_client());
    let ids = ["m0", "m1", "m2", "m3", "m4", "m5"];
    let messages = ids.into_iter().enumerate();
    samples.extend(messages.map(|(number, id)| send(TOPIC, "0", number).only("send").keep(id)));
    let commit = [("consumerGroup", GROUP), ("topic", TOPIC), ("queueId", "0"), ("commitOffset", "2")];
    samples.push(ask(Code::UpdateConsumerOffset).with(commit).only("commit"));
    samples
}

/// What changes little.
fn questions() -> Vec<Sample> {
    let queue = [("topic", TOPIC), ("queueId", "0")];
    let pull = |offset: &str| {
        ask(Code::PullMessage).settled().with([
            ("consumerGroup", LIVE_GROUP),
            ("topic", TOPIC),
            ("queueId", "0"),
            ("queueOffset", offset),
            ("maxMsgNums", "32"),
            ("sysFlag", "4"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "0"),
            ("subscription", "*"),
            ("subVersion", "1700000000000"),
            ("expressionType", "TAG"),
        ])
    };
    let query = |key: &str| {
        ask(Code::QueryMessage).with([
            ("topic", TOPIC),
            ("key", key),
            ("maxNum", "32"),
            ("beginTimestamp", "0"),
            ("endTimestamp", LONG_MAX),
        ])
    };
    let locks = format!(
        r#"{{"clientId":"{LIVE_CLIENT}","consumerGroup":"{LIVE_GROUP}","mqSet":[{{"brokerName":"broker-a","queueId":0,"topic":"{TOPIC}"}}]}}"#
    );
    let filter = |expression: &str| {
        let body = format!(
            r#"{{"clientId":"{LIVE_CLIENT}","group":"{LIVE_GROUP}","subscriptionData":{{"classFilterMode":false,"codeSet":[],"expressionType":"{expression}","subString":"a > 1","subVersion":1700000000000,"tagsSet":[],"topic":"{TOPIC}"}}}}"#
        );
        ask(Code::CheckClientConfig).body(body)
    };
    vec![
        // A subscription flag that a pull with sysFlag = MAX would have: a long poll as well.
        pull("0").leaving_out(&["sysFlag=2147483647", "sysFlag=-1"]),
        pull("6").only("at the end"),
        pull("7").only("behind the end"),
        query("key-3"),
        query("no-such-key").only("unknown key"),
        query("uniq-3").with([("_UNIQUE_KEY_QUERY", "true")]).only("unique key"),
        ask(Code::QueryConsumerOffset).with([("consumerGroup", GROUP)]).with(queue),
        ask(Code::SearchOffsetByTimestamp).with(queue).with([("timestamp", "1700000000000")]),
        ask(Code::SearchOffsetByTimestamp)
            .with([("topic", "Empty"), ("queueId", "0"), ("timestamp", "1")])
            .only("empty queue"),
        ask(Code::GetMaxOffset).with(queue),
        ask(Code::GetMinOffset).with(queue),
        ask(Code::GetEarliestMsgStoretime).with(queue),
        ask(Code::GetEarliestMsgStoretime).with([("topic", "Empty"), ("queueId", "0")]).only("empty queue"),
        ask(Code::ViewMessageById).with([("offset", "{m2+}")]),
        ask(Code::ViewMessageById).with([("offset", "13")]).only("inside a message"),
        ask(Code::GetConsumerListByGroup).with([("consumerGroup", LIVE_GROUP)]),
        ask(Code::GetConsumerListByGroup).with([("consumerGroup", GROUP)]).only("group not online"),
        ask(Code::LockBatchMq).body(locks.clone()),
        ask(Code::UnlockBatchMq).body(locks),
        ask(Code::CheckClientConfig).body("{}").only("nothing"),
        filter("TAG"),
        filter("SQL92").only("SQL, not enabled"),
        ask(Code::GetAllTopicConfig),
        ask(Code::GetAllSubscriptiongroupConfig),
        ask(Code::GetBrokerConfig),
        ask(Code::GetBrokerRuntimeInfo),
        ask(Code::GetAllConsumerOffset),
        ask(Code::GetAllDelayOffset),
        ask(Code::GetTopicStatsInfo).with([("topic", TOPIC)]),
        ask(Code::GetTopicStatsInfo).with([("topic", "Empty")]).only("empty topic"),
        ask(Code::GetConsumerConnectionList).with([("consumerGroup", LIVE_GROUP)]),
        ask(Code::GetProducerConnectionList).with([("producerGroup", "live-producers")]),
        ask(Code::GetConsumeStats).with([("consumerGroup", GROUP), ("topic", TOPIC)]),
        ask(Code::GetConsumeStats).with([("consumerGroup", GROUP)]).only("all topics"),
        ask(Code::GetConsumeStats).with([("consumerGroup", LIVE_GROUP)]).only("live group"),
        ask(Code::QueryTopicConsumeByWho).with([("topic", TOPIC)]),
        ask(Code::QueryConsumeTimeSpan).with([("topic", TOPIC), ("group", GROUP)]),
        ask(Code::GetSystemTopicListFromBroker),
        ask(Code::GetConsumerRunningInfo).with([
            ("consumerGroup", LIVE_GROUP),
            ("clientId", LIVE_CLIENT),
            ("jstackEnable", "false"),
        ]),
        ask(Code::GetConsumerRunningInfo)
            .with([("consumerGroup", LIVE_GROUP), ("clientId", "10.0.0.1@1")])
            .only("unknown client"),
        ask(Code::ConsumeMessageDirectly).with([
            ("consumerGroup", LIVE_GROUP),
            ("clientId", LIVE_CLIENT),
            ("msgId", "{m1}"),
            ("brokerName", "broker-a"),
        ]),
        ask(Code::QueryCorrectionOffset).with([
            ("filterGroups", ""),
            ("compareGroup", GROUP),
            ("topic", TOPIC),
        ]),
        stats("TOPIC_PUT_NUMS", TOPIC),
        stats("TOPIC_PUT_SIZE", "no-such-key").only("unknown key"),
        stats("NO_SUCH_STATS", TOPIC).only("unknown name"),
        ask(Code::GetBrokerConsumeStats).with([("isOrder", "false")]),
        ask(Code::QueryConsumeQueue).with(queue).with([
            ("index", "0"),
            ("count", "3"),
            ("consumerGroup", LIVE_GROUP),
        ]),
        ask(Code::QueryConsumeQueue)
            .with(queue)
            .with([("index", "0"), ("count", "3"), ("consumerGroup", GROUP)])
            .only("group not online"),
        ask(Code::GetAllProducerInfo),
        ask(Code::InvokeBrokerToGetConsumerStatus)
            .with([("topic", TOPIC), ("group", LIVE_GROUP), ("clientAddr", LIVE_CLIENT)])
            // Refused here, asked of the client with a null by Java: the client would tell.
            .leaving_out(&["without topic"]),
        // Served by nobody.
        ask(Code::QueryBrokerOffset),
        ask(Code::TriggerDeleteFiles),
        ask(Code::SuspendConsumer),
        ask(Code::RegisterFilterServer).with([("filterServerAddr", "10.0.0.1:1")]).only("valid"),
        ask(Code::RegisterMessageFilterClass).only("valid"),
        ask(Code::GetTopicConfigList),
        ask(Code::GetTopicNameList),
        ask(Code::ResumeConsumer),
        ask(Code::ResetConsumerOffsetInConsumer),
        ask(Code::ResetConsumerOffsetInBroker),
        ask(Code::AdjustConsumerThreadPool),
        ask(Code::WhoConsumeTheMessage),
    ]
}

fn stats(name: &str, key: &str) -> Sample {
    ask(Code::ViewBrokerStatsData).with([("statsName", name), ("statsKey", key)])
}

fn namesrv() -> Vec<Sample> {
    let version = r#""dataVersion":{"counter":1,"timestamp":1700000000000}"#;
    let registration = format!(
        r#"{{"filterServerList":[],"topicConfigSerializeWrapper":{{{version},"topicConfigTable":{{"Orders":{{"order":false,"perm":6,"readQueueNums":2,"topicFilterType":"SINGLE_TAG","topicName":"Orders","topicSysFlag":0,"writeQueueNums":2}},"Units":{{"order":false,"perm":6,"readQueueNums":2,"topicFilterType":"SINGLE_TAG","topicName":"Units","topicSysFlag":1,"writeQueueNums":2}}}}}}}}"#
    );
    let broker = [
        ("brokerName", "broker-x"),
        ("brokerAddr", "10.0.0.7:10911"),
        ("clusterName", "OtherCluster"),
        ("brokerId", "0"),
    ];
    let item = [("namespace", "FLAVOURS"), ("key", "sweet")];
    vec![
        ask(Code::PutKvConfig).with(item).with([("value", "sugar")]),
        ask(Code::PutKvConfig).with(item).with([("value", "sugar")]).only("again"),
        ask(Code::GetKvConfig).with(item),
        ask(Code::GetKvConfig).with([("namespace", "FLAVOURS"), ("key", "sour")]).only("unknown key"),
        ask(Code::GetKvlistByNamespace).with([("namespace", "FLAVOURS")]),
        ask(Code::GetKvlistByNamespace).with([("namespace", "SHAPES")]).only("unknown namespace"),
        ask(Code::DeleteKvConfig).with(item),
        ask(Code::DeleteKvConfig).with([("namespace", "SHAPES"), ("key", "x")]).only("unknown namespace"),
        ask(Code::GetRouteinfoByTopic).with([("topic", TOPIC)]),
        ask(Code::GetBrokerClusterInfo),
        ask(Code::RegisterBroker)
            .with(broker)
            .with([("haServerAddr", "10.0.0.7:10912"), ("compressed", "false"), ("bodyCrc32", "0")])
            .body(registration)
            .leaving_out(&["without brokerAddr", "without brokerName", "without clusterName", "brokerId=-1"]),
        ask(Code::QueryDataVersion).with(broker).body(r#"{"counter":1,"timestamp":1700000000000}"#),
        ask(Code::QueryDataVersion)
            .with(broker)
            .body(r#"{"counter":9,"timestamp":1700000000000}"#)
            .only("other version"),
        ask(Code::GetRouteinfoByTopic).with([("topic", TOPIC)]).only("two brokers"),
        ask(Code::GetBrokerClusterInfo).only("two brokers"),
        ask(Code::GetAllTopicListFromNameserver),
        ask(Code::GetTopicsByCluster).with([("cluster", "DefaultCluster")]),
        ask(Code::GetTopicsByCluster).with([("cluster", "NoSuchCluster")]).only("unknown cluster"),
        ask(Code::GetSystemTopicListFromNs),
        ask(Code::GetUnitTopicList),
        ask(Code::GetHasUnitSubTopicList),
        ask(Code::GetHasUnitSubUnunitTopicList),
        ask(Code::WipeWritePermOfBroker).with([("brokerName", "broker-x")]),
        ask(Code::WipeWritePermOfBroker).with([("brokerName", "NoSuchBroker")]).only("unknown broker"),
        ask(Code::GetRouteinfoByTopic).with([("topic", "Units")]).only("wiped"),
        ask(Code::AddWritePermOfBroker).with([("brokerName", "broker-x")]),
        ask(Code::DeleteTopicInNamesrv).with([("topic", "Units")]),
        ask(Code::UnregisterBroker).with(broker),
        ask(Code::GetBrokerClusterInfo).only("one broker again"),
        ask(Code::GetNamesrvConfig),
        ask(Code::UpdateNamesrvConfig).body("orderMessageEnable=false\n"),
        ask(Code::UpdateNamesrvConfig).body("kvConfigPath=/elsewhere\n").only("a path"),
        ask(Code::UpdateNamesrvConfig).body("noSuchSetting=1\n").only("unknown setting"),
        ask(Code::UpdateNamesrvConfig).body("listenPort=abc\n").only("wrong value"),
    ]
}

/// The sample with another value in a field that it has.
fn with(mut sample: Sample, name: &str, value: &str) -> Sample {
    sample.fields.iter_mut().filter(|field| field.0 == name).for_each(|field| field.1 = value.to_owned());
    sample
}

fn long_names(topic: &str) -> Sample {
    ask(Code::SendMessage).with([
        ("producerGroup", "live-producers"),
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", "1"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1700000000000"),
        ("flag", "0"),
        ("properties", &properties(7)),
        ("reconsumeTimes", "0"),
        ("unitMode", "false"),
        ("batch", "false"),
    ])
}

fn send_batch(topic: &str) -> Sample {
    let units = ["one", "two"].map(|text| BatchMessage {
        flag: 0,
        body: Bytes::from_static(text.as_bytes()),
        properties: format!("UNIQ_KEY\u{1}uniq-{text}\u{2}").into(),
    });
    let Sample { fields, .. } = with(send(topic, "2", 8), "m", "true");
    Sample { fields, body: batch::encode(&units), ..ask(Code::SendBatchMessage) }
}

/// Waits for what was sent before: Java puts it into its queue behind the answer.
fn pull(group: &str, topic: &str, queue: &str) -> Sample {
    let fields = [
        ("consumerGroup", group),
        ("topic", topic),
        ("queueId", queue),
        ("queueOffset", "0"),
        ("maxMsgNums", "32"),
        ("sysFlag", "4"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "0"),
        ("subscription", "*"),
        ("subVersion", "0"),
    ];
    ask(Code::PullMessage).with(fields).settled()
}

fn send_back(group: &str, level: &str, offset: &str) -> Sample {
    ask(Code::ConsumerSendMsgBack).with([
        ("offset", offset),
        ("group", group),
        ("delayLevel", level),
        ("originMsgId", "uniq-1"),
        ("originTopic", TOPIC),
        ("unitMode", "false"),
        ("maxReconsumeTimes", "16"),
    ])
}

/// What topics, groups and the Broker as a whole do not permit.
fn forbidden() -> Vec<Sample> {
    let attempts = |topic: &str| {
        let mut reply = send(topic, "0", 12);
        reply.request = Code::SendReplyMessageV2;
        [
            long_names(topic).body("body"),
            send(topic, "0", 12),
            send_batch(topic),
            reply,
            pull("audit", topic, "0"),
        ]
    };
    let closed = r#"{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":false,"consumeFromMinEnable":true,"groupName":"closed","notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#;
    let mut samples = vec![
        with(topic("ReadOnly"), "perm", "4").only("create topic"),
        with(topic("WriteOnly"), "perm", "2").only("create topic"),
        ask(Code::UpdateAndCreateSubscriptiongroup).body(closed).only("create group"),
        pull("closed", TOPIC, "0").only("no permission of the group"),
        send_back("closed", "3", "{m1+}").only("no permission of the group"),
    ];
    samples.extend(attempts("ReadOnly").map(|sample| sample.only("no permission to write")));
    samples.extend(attempts("WriteOnly").map(|sample| sample.only("no permission to read")));
    for (perm, variant) in [("4", "a Broker that is not written"), ("2", "a Broker that is not read")] {
        samples.push(
            ask(Code::UpdateBrokerConfig).body(format!("brokerPermission={perm}\n")).only("brokerPermission"),
        );
        samples.extend(attempts("Sends").map(|sample| sample.only(variant)));
        samples.push(send_back(GROUP, "3", "{m1+}").only(variant));
    }
    samples.push(ask(Code::UpdateBrokerConfig).body("brokerPermission=6\n").only("brokerPermission"));
    samples
}

fn sends() -> Vec<Sample> {
    let long = "x".repeat(40_000);
    // Flags that speak of addresses and compression in the record make Java write records that it cannot read.
    const FLAGS: &[&str] = &["f=2147483647", "f=-1", "sysFlag=2147483647", "sysFlag=-1"];
    let mut samples = vec![
        long_names("Variants").body("body").leaving_out(FLAGS),
        long_names("Sends").body("body").only("send"),
        send("Variants", "0", 6).leaving_out(FLAGS),
        send("Sends", "0", 6).only("send"),
        send_batch("Sends").only("send"),
        // Java reads the units' lengths as they come.
        send_batch("Variants").leaving_out(&["f=2147483647", "f=-1", "wrong body", "without body"]),
        with(send("Sends", "0", 9), "b", "no good name").only("bad topic name"),
        with(send("Sends", "0", 9), "b", "SCHEDULE_TOPIC_XXXX").only("system topic"),
        with(send("Sends", "0", 9), "b", "TBW102").only("the template"),
        with(send("Made", "0", 9), "c", "NoSuchTemplate").only("unknown template"),
        with(send("Sends", "0", 9), "i", &long).only("properties too long"),
        with(send("Variants", "0", 9), "i", "DELAY\u{1}3\u{2}").only("delayed"),
        with(send("Variants", "0", 9), "i", "DELAY\u{1}99\u{2}").only("delay level too high"),
        with(send("Sends", "0", 9), "j", "17").only("reconsumed"),
        send("%RETRY%billing", "0", 10).only("retry topic"),
        send("Sends", "0", 10).body(vec![b'x'; 5 << 20]).only("body too long"),
        send_back(GROUP, "3", "{m1+}"),
        send_back(GROUP, "-1", "{m1+}").only("to the dead letters"),
        send_back("", "3", "{m1+}").only("no group"),
        send_back(GROUP, "3", "7").only("inside a message"),
    ];
    for queue in ["0", "1", "2", "3"] {
        let fields = [("topic", "Sends"), ("queueId", queue)];
        samples.push(ask(Code::GetMaxOffset).with(fields).settled().only("after the sends"));
        samples.push(pull("audit", "Sends", queue).only("after the sends"));
    }
    // What was delayed, by sends and by giving back.
    let (waits, goes) = ("SCHEDULE_TOPIC_XXXX@2", "SCHEDULE_TOPIC_XXXX@2@SCHEDULE_CONSUMER");
    for (name, key) in [("PUT_NUMS", waits), ("PUT_SIZE", waits), ("GET_NUMS", goes), ("GET_SIZE", goes)] {
        samples.push(stats(&format!("QUEUE_{name}"), key).only("a delay level").delivered());
    }
    samples.push(stats("QUEUE_PUT_NUMS", "Sends@0").only("another queue"));
    let back = stats("SNDBCK_PUT_NUMS", &format!("{TOPIC}@{GROUP}"));
    samples.push(back.only("given back"));
    let dead = [("topic", "%DLQ%billing")];
    samples.push(ask(Code::GetTopicStatsInfo).with(dead).only("dead letters"));
    let transaction = [
        ("producerGroup", "live-producers"),
        ("tranStateTableOffset", "0"),
        ("commitLogOffset", "0"),
        ("commitOrRollback", "8"),
        ("fromTransactionCheck", "false"),
        ("msgId", "uniq-0"),
        ("transactionId", "uniq-0"),
    ];
    samples.push(ask(Code::EndTransaction).with(transaction));
    samples.push(ask(Code::ResumeCheckHalfMessage).with([("msgId", "{m0}")]));
    let mut reply = long_names("DefaultCluster_REPLY_TOPIC");
    reply.request = Code::SendReplyMessage;
    samples.push(reply.body("reply").leaving_out(FLAGS));
    let mut reply = send("DefaultCluster_REPLY_TOPIC", "0", 11);
    reply.request = Code::SendReplyMessageV2;
    samples.push(reply.leaving_out(FLAGS));
    samples
}

/// What only 5.x asks for.
fn of_5() -> Vec<Sample> {
    let topics = |names: [&str; 2]| {
        let topic = |name: &str| {
            format!(
                r#"{{"order":false,"perm":6,"readQueueNums":2,"topicFilterType":"SINGLE_TAG","topicName":"{name}","topicSysFlag":0,"writeQueueNums":3}}"#
            )
        };
        let topics = names.map(topic).join(",");
        ask(Code::UpdateAndCreateTopicList).body(format!(r#"{{"topicConfigList":[{topics}]}}"#))
    };
    let groups =
        r#"{"groupConfigList":[{"groupName":"listed-1","retryMaxTimes":3},{"groupName":"listed-2"}]}"#;
    let topic_config = |topic: &str| ask(Code::GetTopicConfig).with([("topic", topic)]);
    let group_config = |group: &str| ask(Code::GetSubscriptiongroupConfig).with([("group", group)]);
    let topics_of = |group: &str| ask(Code::QueryTopicsByConsumer).with([("group", group)]);
    let mut lite = pull(LIVE_GROUP, TOPIC, "0").leaving_out(&["sysFlag=2147483647", "sysFlag=-1"]);
    lite.request = Code::LitePullMessage;
    let mut behind = with(pull(LIVE_GROUP, TOPIC, "0"), "queueOffset", "7");
    behind.request = Code::LitePullMessage;
    let mut closed = pull("closed", TOPIC, "0");
    closed.request = Code::LitePullMessage;
    vec![
        topics(["Listed1", "Listed2"]),
        topics(["Listed1", "Listed2"]).only("again"),
        topics(["Listed3", "TBW102"]).only("system topic"),
        topics(["Listed3", "no good name"]).only("bad name"),
        topic_config("Listed2"),
        topic_config("Listed3").only("none of a refused list"),
        ask(Code::UpdateAndCreateSubscriptiongroupList).body(groups),
        group_config("listed-1"),
        topics_of(GROUP),
        topics_of(LIVE_GROUP).only("nothing committed"),
        ask(Code::QuerySubscriptionByConsumer).with([("group", LIVE_GROUP), ("topic", TOPIC)]),
        ask(Code::QuerySubscriptionByConsumer)
            .with([("group", GROUP), ("topic", TOPIC)])
            .only("group not online"),
        lite,
        behind.only("behind the end"),
        closed.only("no permission of the group"),
    ]
}

fn changes() -> Vec<Sample> {
    let reset = |group: &str| {
        ask(Code::InvokeBrokerToResetOffset).with([
            ("group", group),
            ("topic", TOPIC),
            ("timestamp", "1700000000000"),
            ("isForce", "true"),
        ])
    };
    vec![
        ask(Code::UpdateConsumerOffset).with([
            ("consumerGroup", "commits"),
            ("topic", "Empty"),
            ("queueId", "0"),
            ("commitOffset", "1"),
        ]),
        ask(Code::QueryConsumerOffset)
            .with([("consumerGroup", "commits"), ("topic", "Empty"), ("queueId", "0")])
            .only("after the commits"),
        reset(GROUP).only("group not online"),
        reset(LIVE_GROUP),
        ask(Code::CloneGroupOffset).with([
            ("srcGroup", GROUP),
            ("destGroup", "copy"),
            ("topic", TOPIC),
            ("offline", "false"),
        ]),
        ask(Code::QueryConsumerOffset)
            .with([("consumerGroup", "copy"), ("topic", TOPIC), ("queueId", "0")])
            .only("after the clone"),
        topic("Changed").leaving_out(&[
            "perm=-1",
            "perm=2147483647",
            "readQueueNums=2147483647",
            "writeQueueNums=2147483647",
        ]),
        topic("no good name").only("bad name"),
        topic("TBW102").only("system topic"),
        group("changed"),
        ask(Code::UpdateBrokerConfig).body("longPollingEnable=true\n"),
        ask(Code::UpdateBrokerConfig).body("brokerConfigPath=/elsewhere\n").only("a path"),
        ask(Code::UpdateBrokerConfig).body("noSuchSetting=1\n").only("unknown setting"),
        ask(Code::UpdateBrokerConfig).body("brokerPermission=abc\n").only("wrong value"),
        ask(Code::UpdateBrokerConfig)
            .body(
                "fileReservedTime=48\ndeleteWhen=05;06\ndiskMaxUsedSpaceRatio=80\ncleanFileForciblyEnable=false\n\
                 maxMessageSize=4000000\nmaxTransferCountOnMessageInMemory=16\nmaxMsgsNumBatch=32\n",
            )
            .only("limits of the store"),
        ask(Code::GetBrokerConfig).only("after the changes"),
        ask(Code::UpdateBrokerConfig).body("brokerFastFailureEnable=true\n").only("no effect"),
        ask(Code::UpdateBrokerConfig).body("flushDelayOffsetInterval=20000\n").only("restart"),
        ask(Code::DeleteSubscriptiongroup).with([("groupName", "doomed-group"), ("removeOffset", "true")]),
        ask(Code::DeleteTopicInBroker).with([("topic", "Doomed")]),
        ask(Code::DeleteTopicInBroker).with([("topic", "")]).only("empty name"),
        ask(Code::DeleteTopicInBroker).with([("topic", "TBW102")]).only("system topic"),
        ask(Code::GetMaxOffset).with([("topic", "Doomed"), ("queueId", "0")]).only("deleted topic"),
        ask(Code::CleanExpiredConsumequeue),
        ask(Code::CleanUnusedTopic),
        ask(Code::DeleteExpiredCommitlog),
        ask(Code::UpdateAndCreateAclConfig).with([
            ("accessKey", "someone"),
            ("secretKey", "12345678"),
            ("admin", "false"),
        ]),
        ask(Code::GetBrokerClusterAclInfo),
        ask(Code::GetBrokerClusterAclConfig),
        ask(Code::UpdateGlobalWhiteAddrsConfig).with([("globalWhiteAddrs", "10.10.1.*")]),
        ask(Code::DeleteAclConfig).with([("accessKey", "someone")]),
        ask(Code::UnregisterClient)
            .with([
                ("clientID", LIVE_CLIENT),
                ("producerGroup", "live-producers"),
                ("consumerGroup", LIVE_GROUP),
            ])
            .by_client(),
        ask(Code::GetConsumerListByGroup).with([("consumerGroup", LIVE_GROUP)]).only("client gone"),
    ]
}
