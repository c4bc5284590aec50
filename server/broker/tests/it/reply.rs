//! Request-reply: a reply finds the client that waits for it, and the sender hears how that went.

use ferrocket_protocol::body::heartbeat::{HeartbeatData, ProducerData};
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::{ExtFields, RemotingCommand, RequestCode, ResponseCode, fastjson, properties};

use crate::support::{Peer, Rig, field, message};

const TOPIC: &str = "DefaultCluster_REPLY_TOPIC";

async fn produce(peer: &Peer, client_id: &str) {
    let body = HeartbeatData {
        client_id: client_id.to_owned(),
        producer_data_set: vec![ProducerData { group_name: "pg".to_owned() }],
        ..HeartbeatData::default()
    };
    let request = RemotingCommand::request(RequestCode::HeartBeat, &Empty).with_body(fastjson::to_vec(&body));
    assert_eq!(peer.call(request).await.code, 0);
}

/// A reply in the short form for this client, which is the properties' text.
fn reply_to(properties: &str) -> RemotingCommand {
    let mut request = RemotingCommand::request(RequestCode::SendReplyMessageV2, &Empty).with_body("answer");
    let mut fields = ExtFields::new();
    message(TOPIC, 0, properties).encode_v2(&mut fields);
    request.ext_fields = fields;
    request
}

/// A reply is pushed with everything that the waiting client matches it by, and stored; both header forms.
#[tokio::test]
async fn a_reply_reaches_who_asked() {
    let rig = Rig::start(&[]).await;
    let (mut asking, answering) = (rig.peer().await, rig.peer().await);
    produce(&asking, "10.0.0.1@asking").await;
    let text = "CORRELATION_ID\u{1}c7\u{2}REPLY_TO_CLIENT\u{1}10.0.0.1@asking\u{2}";
    let long = RemotingCommand::request(RequestCode::SendReplyMessage, &message(TOPIC, 0, text));
    for (offset, request) in [("0", reply_to(text)), ("1", long.with_body("answer"))] {
        let answered = answering.call(request);
        let pushed_and_taken = async {
            let pushed = asking.push().await;
            assert!(asking.connection.reply(pushed.reply(ResponseCode::SUCCESS)));
            pushed
        };
        let (reply, pushed) = tokio::join!(answered, pushed_and_taken);
        assert_eq!(pushed.request_code(), Some(RequestCode::PushReplyMessageToClient));
        assert_eq!((&pushed.body[..], field(&pushed, "topic")), (&b"answer"[..], TOPIC));
        assert_eq!(field(&pushed, "bornHost"), answering.connection.local_addr().to_string());
        assert_eq!(field(&pushed, "storeHost"), rig.broker.local_addr().to_string());
        let told = field(&pushed, "properties");
        assert_eq!(properties::get(told, "CORRELATION_ID"), Some("c7"));
        assert!(properties::get(told, "PUSH_REPLY_TIME").is_some());
        assert_eq!((reply.code, reply.remark.as_deref()), (0, None), "{reply:?}");
        assert_eq!((field(&reply, "queueId"), field(&reply, "queueOffset")), ("0", offset));
        assert_eq!((field(&reply, "msgId").len(), field(&reply, "TRACE_ON")), (32, "true"));
    }
    let stored = answering.first_message(TOPIC, 0).await;
    assert_eq!((&stored.body[..], &*stored.properties), (&b"answer"[..], text));
}

/// Who waits for nothing, is not there or does not take it is told in Java's words, and the reply stored.
#[tokio::test]
async fn a_reply_that_reaches_nobody() {
    let rig = Rig::start(&[]).await;
    let (mut asking, answering) = (rig.peer().await, rig.peer().await);
    produce(&asking, "a@1").await;
    for (properties, remark) in [
        ("", "reply message properties[REPLY_TO_CLIENT] is null"),
        ("REPLY_TO_CLIENT\u{1}b@2", "push reply message fail, channel of <b@2> not found."),
    ] {
        let reply = answering.call(reply_to(properties)).await;
        assert_eq!((reply.code, reply.remark.as_deref()), (1, Some(remark)));
        assert_eq!(field(&reply, "msgId").len(), 32);
    }
    let answered = answering.call(reply_to("REPLY_TO_CLIENT\u{1}a@1"));
    let (reply, ()) = tokio::join!(answered, async {
        let pushed = asking.push().await;
        asking.connection.reply(pushed.reply(ResponseCode::SYSTEM_ERROR));
    });
    assert_eq!((reply.code, reply.remark.as_deref()), (1, Some("push reply message to a@1fail.")));
    assert_eq!(answering.messages(TOPIC, 0, 0).await.len(), 3);
}

/// With `storeReplyMessageEnable=false` nothing is stored, and the numbers of the answer are Java's zeros.
#[tokio::test]
async fn replies_need_not_be_stored() {
    let rig = Rig::start(&[("storeReplyMessageEnable", "false")]).await;
    let (mut asking, answering) = (rig.peer().await, rig.peer().await);
    produce(&asking, "a@1").await;
    let answered = answering.call(reply_to("REPLY_TO_CLIENT\u{1}a@1"));
    let (reply, ()) = tokio::join!(answered, async {
        let pushed = asking.push().await;
        asking.connection.reply(pushed.reply(ResponseCode::SUCCESS));
    });
    assert_eq!((reply.code, field(&reply, "msgId"), field(&reply, "queueOffset")), (0, "0", "0"));
    let reply = answering.call(reply_to("REPLY_TO_CLIENT\u{1}gone")).await;
    assert_eq!((reply.code, field(&reply, "msgId")), (1, "(absent)"));
    let stats = field(&answering.pull(&crate::support::pull(TOPIC, 0, 0)).await, "maxOffset").to_owned();
    assert_eq!(stats, "0");
}
