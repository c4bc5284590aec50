//! Sending: what is stored, what is refused, what the reply says.

use ferrocket_protocol::batch::{self, BatchMessage};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::{MessageRecord, RemotingCommand, RequestCode, ResponseCode, properties};

use crate::support::{Rig, field, message, pull, send_request};

/// The reply of a send carries everything that clients read, and the id leads back to the message.
#[tokio::test]
async fn a_sent_message_is_stored_and_found() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let reply = peer.store("T", 1, "TAGS\u{1}A\u{2}WAIT\u{1}true\u{2}UNIQ_KEY\u{1}id1", "body").await;
    assert!(reply.is_response());
    assert_eq!((field(&reply, "queueId"), field(&reply, "queueOffset")), ("1", "0"));
    assert_eq!((field(&reply, "MSG_REGION"), field(&reply, "TRACE_ON")), ("DefaultRegion", "true"));
    assert_eq!(field(&reply, "transactionId"), "(absent)");
    let id = OffsetMessageId::parse(field(&reply, "msgId")).unwrap();
    assert_eq!((id.host, id.physical_offset), (rig.broker.local_addr(), 0));
    let stored = peer.first_message("T", 1).await;
    assert_eq!((&*stored.topic, stored.queue_id, &stored.body[..]), ("T", 1, &b"body"[..]));
    assert_eq!(&*stored.properties, "TAGS\u{1}A\u{2}UNIQ_KEY\u{1}id1\u{2}CLUSTER\u{1}DefaultCluster");
    assert_eq!((stored.born_timestamp, stored.born_host), (1_700_000_000_000, peer.connection.local_addr()));
    let second = peer.store("T", 1, "", "second").await;
    assert_eq!(field(&second, "queueOffset"), "1");
}

/// The long header (10) does the same as the short one.
#[tokio::test]
async fn the_long_header_is_understood() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let request = RemotingCommand::request(RequestCode::SendMessage, &message("T", 0, "")).with_body("x");
    assert_eq!(peer.call(request).await.code, 0);
    // C++ says batch="1", which Java's parser reads as false.
    let mut request = RemotingCommand::request(
        RequestCode::SendMessage,
        &SendMessageHeader { batch: None, ..message("T", 0, "") },
    );
    request.ext_fields.push("batch", "1");
    assert_eq!(peer.call(request.with_body("no batch")).await.code, 0);
    assert_eq!(&peer.messages("T", 0, 1).await[0].body[..], b"no batch");
}

/// A topic is created after its template, with as many queues as both sides allow.
#[tokio::test]
async fn topics_are_created_by_their_first_message() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let first = |topic, template: &str, queue_id| {
        let header = message(topic, queue_id, "");
        SendMessageHeader { default_topic: template.into(), ..header }
    };
    assert_eq!(peer.send(&first("a", "TBW102", 3), "x").await.code, 0);
    // The broker's own topic is a template with one queue; the queue id is checked again after creation.
    let reply = peer.send(&first("b", "broker-a", 3), "x").await;
    assert_eq!(reply.code, 1);
    let remark = reply.remark.unwrap();
    assert!(remark.starts_with(
        "request queueId[3] is illegal, TopicConfig [topicName=b, readQueueNums=1, writeQueueNums=1, perm=RW-, \
         topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false] Producer: 127.0.0.1:"
    ));
    let reply = peer.send(&first("c", "unknown", 0), "x").await;
    assert_eq!(reply.response_code(), ResponseCode::TOPIC_NOT_EXIST);
    assert_eq!(
        reply.remark.as_deref(),
        Some(
            "topic[c] not exist, apply first please!\nSee http://rocketmq.apache.org/docs/faq/ for further details."
        )
    );
    assert_eq!(field(&reply, "MSG_REGION"), "DefaultRegion");
}

/// Without automatic creation an unknown topic is code 17; one that an admin creates can be sent to.
#[tokio::test]
async fn automatic_creation_can_be_off() {
    let rig = Rig::start(&[("autoCreateTopicEnable", "false")]).await;
    let peer = rig.peer().await;
    assert_eq!(peer.send(&message("T", 0, ""), "x").await.response_code(), ResponseCode::TOPIC_NOT_EXIST);
    peer.topic("T", 1, 6).await;
    assert_eq!(peer.send(&message("T", 0, ""), "x").await.code, 0);
    // Retry topics are not for people to create.
    assert_eq!(peer.send(&message("%RETRY%cg", 0, ""), "x").await.code, 0);
}

/// A queue id below zero is the Broker's choice; permissions of the topic are not asked on sends.
#[tokio::test]
async fn queue_and_permission_rules() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.topic("T", 2, 4).await;
    let mut queues = Vec::new();
    for _ in 0..2 {
        let reply = peer.send(&message("T", -1, ""), "x").await;
        assert_eq!(reply.code, 0);
        queues.push(field(&reply, "queueId").to_owned());
    }
    queues.sort();
    assert_eq!(queues, ["0", "1"]);
}

/// Names that are none, and topics that are the Broker's own.
#[tokio::test]
async fn bad_topics_are_refused() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let reply = peer.send(&message("a b", 0, ""), "x").await;
    assert_eq!(reply.code, 1);
    assert_eq!(
        reply.remark.as_deref(),
        Some("The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")
    );
    let reply = peer.send(&message("SCHEDULE_TOPIC_XXXX", 0, ""), "x").await;
    assert_eq!(reply.response_code(), ResponseCode::NO_PERMISSION);
    assert_eq!(reply.remark.as_deref(), Some("Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden."));
}

/// What is too long gets code 13, and the connection lives on.
#[tokio::test]
async fn limits_are_answers() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let reply = peer.send(&message("T", 0, ""), vec![0; 4 * 1024 * 1024 + 1]).await;
    assert_eq!(reply.response_code(), ResponseCode::MESSAGE_ILLEGAL);
    assert_eq!(
        reply.remark.as_deref(),
        Some(
            "the message is illegal, maybe msg body or properties length not matched. msg body length limit \
             4194304B, msg properties length limit 32KB."
        )
    );
    let properties = format!("k\u{1}{}", "\u{4e2d}".repeat(32_769));
    let reply = peer.send(&message("T", 0, &properties), "x").await;
    assert_eq!(reply.response_code(), ResponseCode::MESSAGE_ILLEGAL);
    let reply = peer.send(&message("T", 0, ""), vec![0; 4 * 1024 * 1024]).await;
    assert_eq!(reply.code, 0);
}

/// A batch becomes several messages; whether it is one is said by its field, not by its code.
#[tokio::test]
async fn batches() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let messages = ["1", "2", "3"].map(|body| BatchMessage {
        flag: 0,
        body: body.into(),
        properties: format!("UNIQ_KEY\u{1}id{body}").into(),
    });
    let body = batch::encode(&messages);
    for code in [RequestCode::SendBatchMessage, RequestCode::SendMessageV2] {
        let header = SendMessageHeader { batch: Some(true), ..message("T", 2, "WAIT\u{1}true") };
        let request = RemotingCommand { code: code.code(), ..send_request(&header, body.clone()) };
        let reply = peer.call(request).await;
        assert_eq!(reply.code, 0, "{reply:?}");
        let ids: Vec<_> = field(&reply, "msgId").split(',').map(OffsetMessageId::parse).collect();
        assert_eq!(ids.len(), 3);
        assert!(ids.iter().all(Option::is_some));
        assert!(ids.is_sorted_by_key(|id| id.map(|id| id.physical_offset)));
    }
    let stored = peer.messages("T", 2, 0).await;
    assert_eq!(stored.len(), 6);
    assert_eq!(stored.iter().map(|message| message.queue_offset).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(properties::get(&stored[4].properties, "UNIQ_KEY"), Some("id2"));
    assert_eq!(properties::get(&stored[4].properties, "CLUSTER"), Some("DefaultCluster"));
    let single = send_request(&message("T", 3, ""), body);
    let request = RemotingCommand { code: RequestCode::SendBatchMessage.code(), ..single };
    assert_eq!(peer.call(request).await.code, 0);
    assert_eq!(peer.messages("T", 3, 0).await.len(), 1);
    let broken = SendMessageHeader { batch: Some(true), ..message("T", 2, "") };
    assert_eq!(peer.send(&broken, "nonsense").await.response_code(), ResponseCode::MESSAGE_ILLEGAL);
}

/// A oneway send is stored and not answered; requests that come together are each answered under their own
/// number.
#[tokio::test]
async fn oneway_and_pipelined_sends() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.connection.oneway(send_request(&message("T", 0, ""), "oneway")).await.unwrap();
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..200 {
        let connection = peer.connection.clone();
        sends.spawn(async move {
            let request = send_request(&message("T", 0, ""), number.to_string());
            let reply = connection.call(request, crate::support::PATIENCE).await.unwrap();
            (number.to_string(), field(&reply, "queueOffset").parse::<i64>().unwrap())
        });
    }
    let sent = sends.join_all().await;
    assert_eq!(&peer.first_message("T", 0).await.body[..], b"oneway");
    for (body, offset) in sent {
        assert_eq!(&peer.messages("T", 0, offset).await[0].body[..], body.as_bytes());
    }
}

/// With SYNC_FLUSH the answer comes once the disk has the message, also for those who do not say WAIT.
#[tokio::test]
async fn sync_flush_answers() {
    let rig = Rig::start(&[("flushDiskType", "SYNC_FLUSH")]).await;
    let peer = rig.peer().await;
    let reply = peer.store("T", 0, "", "waits").await;
    assert_eq!(field(&reply, "queueOffset"), "0");
    peer.store("T", 0, "WAIT\u{1}false", "does not").await;
    assert_eq!(peer.messages("T", 0, 1).await.len(), 1);
    assert_eq!(peer.messages("T", 0, 0).await.len(), 2);
}

/// What this Broker does not serve is answered, under Java's words; half messages are refused.
#[tokio::test]
async fn what_is_not_there_is_said() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let mut request = RemotingCommand::request(RequestCode::PopMessage, &Empty);
    let reply = peer.call(request.clone()).await;
    assert_eq!(
        (reply.code, reply.remark.as_deref()),
        (3, Some(" request type 200050 not supported: POP_MESSAGE"))
    );
    request.code = 9999;
    let reply = peer.call(request).await;
    assert_eq!((reply.code, reply.remark.as_deref()), (3, Some(" request type 9999 not supported")));
    // A header that cannot be read names the field.
    let request = RemotingCommand::request(RequestCode::SendMessageV2, &Empty);
    let reply = peer.call(request).await;
    assert_eq!(reply.code, 1);
    assert!(reply.remark.unwrap().contains("field b is missing"));
}

/// Old clients send to the port two below.
#[tokio::test]
async fn the_vip_port_serves_the_same() {
    // Another test's Broker may have the port.
    let (rig, addr) = loop {
        let rig = Rig::start(&[]).await;
        if let Some(addr) = rig.broker.vip_addr() {
            break (rig, addr);
        }
    };
    assert_eq!(addr.port(), rig.broker.local_addr().port() - 2);
    let vip = crate::support::Peer::connect(addr).await;
    vip.store("T", 0, "", "x").await;
    assert_eq!(rig.peer().await.messages("T", 0, 0).await.len(), 1);
    assert_eq!(vip.pull(&pull("T", 0, 0)).await.code, 0);
}

/// A message that was not stored leaves nothing behind: the next one takes its offset.
#[tokio::test]
async fn refused_messages_leave_no_gap() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "", "first").await;
    assert_eq!(peer.send(&message("T", 0, ""), vec![0; 5 << 20]).await.code, 13);
    let reply = peer.store("T", 0, "", "second").await;
    assert_eq!(field(&reply, "queueOffset"), "1");
    let pulled = peer.pull(&pull("T", 0, 0)).await;
    assert_eq!(MessageRecord::decode_all(pulled.body).unwrap().len(), 2);
}

/// A SYNC_MASTER starts without slaves, and tells each send that waits that none has the message.
#[tokio::test]
async fn a_sync_master_without_slaves() {
    for flush in ["ASYNC_FLUSH", "SYNC_FLUSH"] {
        let rig = Rig::start(&[("brokerRole", "SYNC_MASTER"), ("flushDiskType", flush)]).await;
        let peer = rig.peer().await;
        let reply = peer.send(&message("T", 0, ""), "x").await;
        assert_eq!((reply.response_code(), reply.remark), (ResponseCode::SLAVE_NOT_AVAILABLE, None));
        let reply = peer.send(&message("T", 0, "WAIT\u{1}false"), "y").await;
        assert_eq!((reply.code, field(&reply, "queueOffset")), (0, "1"));
        // It was not waited for, so it may be seen a little later.
        let held = PullMessageHeader { sys_flag: 2 | 4, suspend_timeout_millis: 20_000, ..pull("T", 0, 1) };
        assert_eq!(peer.pull(&held).await.code, 0);
        assert_eq!(peer.messages("T", 0, 0).await.len(), 2);
    }
}
