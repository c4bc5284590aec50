//! What brokers ask of a client.

use std::time::Duration;

use ferrocket::Message;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::client::{GetConsumerRunningInfoHeader, NotifyConsumerIdsChangedHeader};
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode};

use crate::cluster::{Server, builder, name_server_for};

/// Requests about groups that are not here, and unknown requests, are answered as Java answers them; the
/// connection stays.
#[tokio::test]
async fn every_request_is_answered() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    let connection = broker.connection();
    let ask = async |request| connection.call(request, Duration::from_secs(5)).await.unwrap();

    let header = GetConsumerRunningInfoHeader {
        consumer_group: "nobody".into(),
        client_id: client.client_id().into(),
        jstack_enable: None,
    };
    let reply = ask(RemotingCommand::request(RequestCode::GetConsumerRunningInfo, &header)).await;
    assert_eq!(reply.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(reply.remark.as_deref(), Some("The Consumer Group <nobody> not exist in this consumer"));

    let header = NotifyConsumerIdsChangedHeader { consumer_group: "nobody".into() };
    let reply = ask(RemotingCommand::request(RequestCode::NotifyConsumerIdsChanged, &header)).await;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS);

    let reply = ask(RemotingCommand::request(RequestCode::GetConsumerRunningInfo, &Empty)).await;
    assert_eq!(reply.response_code(), ResponseCode::SYSTEM_ERROR);

    let reply = ask(RemotingCommand::request(RequestCode::GetBrokerConfig, &Empty)).await;
    assert_eq!(reply.response_code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
}
