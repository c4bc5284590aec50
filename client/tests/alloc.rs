//! How many heap allocations a send costs the program that sends: its own task and the connection's together.
//!
//! A binary of its own, because the count is that of the whole thread: the client runs on this one, the servers run on
//! another.

use std::net::SocketAddr;
use std::sync::mpsc;

use allocation_counter::measure;
use ferrocket::{Client, Message, Producer};
use ferrocket_protocol::body::route::{BrokerData, MASTER_ID, QueueData, TopicRouteData};
use ferrocket_protocol::requests::send::SendMessageReply;
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode, fastjson};
use ferrocket_remoting::{Connection, Handler, Listener, RemotingConfig};
use tokio::runtime::{Builder, Runtime};

/// Sends that are measured together.
const SENDS: u64 = 1_000;
/// What one awaited send may cost.
const SEND_MAX: u64 = 1;
/// What one of many queued sends may cost.
const ENQUEUE_MAX: u64 = 2;
/// What the connection may allocate for its reads, each of which brings many receipts.
const READS_MAX: u64 = 500;

/// A NameServer and a Broker in one: knows every topic, stores every message.
struct Server(SocketAddr);

impl Handler for Server {
    fn handle(
        &self,
        _: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    ) {
        for request in requests.drain(..) {
            replies.push(match request.request_code() {
                Some(RequestCode::GetRouteinfoByTopic) => {
                    request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&route(self.0)))
                }
                Some(RequestCode::SendMessageV2) => request.reply_with(&SendMessageReply {
                    msg_id: "7F00000100002A9F0000000000000400".into(),
                    ..Default::default()
                }),
                _ => request.reply(ResponseCode::SUCCESS),
            });
        }
    }
}

fn route(addr: SocketAddr) -> TopicRouteData {
    let queues = QueueData {
        broker_name: "a".into(),
        perm: 6,
        read_queue_nums: 4,
        write_queue_nums: 4,
        topic_sys_flag: 0,
    };
    let broker = BrokerData {
        broker_name: "a".into(),
        cluster: "c".into(),
        broker_addrs: [(MASTER_ID, addr.to_string())].into_iter().collect(),
    };
    TopicRouteData { queue_datas: vec![queues], broker_datas: vec![broker], ..Default::default() }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The server on a thread of its own, which lives as long as the process.
fn server() -> SocketAddr {
    let (ready, addr) = mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = Listener::bind(any_port, RemotingConfig::default()).await.unwrap();
            let local = listener.local_addr();
            ready.send(local).unwrap();
            listener.serve(std::sync::Arc::new(Server(local)), std::future::pending()).await;
        });
    });
    addr.recv().unwrap()
}

fn messages() -> Vec<Message> {
    (0..SENDS).map(|_| Message::new("T", vec![7; 1_024])).collect()
}

/// The allocations of one awaited send, and of one of a thousand queued ones, stay below their limits.
#[test]
fn sends_allocate_little() {
    let runtime = runtime();
    let addr = server().to_string();
    let producer: Producer = runtime.block_on(async {
        let producer = Client::builder(&addr).build().unwrap().producer("g").start().await.unwrap();
        let mut warm = Vec::new();
        for message in messages() {
            warm.push(producer.enqueue(message).await.unwrap());
        }
        for receipt in warm {
            let _ = receipt.await.unwrap();
        }
        producer
    });

    let batch = messages();
    let one_by_one = measure(|| {
        runtime.block_on(async {
            for message in batch {
                assert!(producer.send(message).await.unwrap().is_ok());
            }
        });
    });
    let batch = messages();
    let mut receipts = Vec::with_capacity(batch.len());
    let queued = measure(|| {
        runtime.block_on(async {
            for message in batch {
                receipts.push(producer.enqueue(message).await.unwrap());
            }
            for receipt in receipts {
                assert!(receipt.await.unwrap().is_ok());
            }
        });
    });
    let (one, many) = (one_by_one.count_total, queued.count_total);
    println!("allocations of {SENDS} sends: {one} awaited, {many} queued");
    assert!(one <= SENDS * SEND_MAX + READS_MAX, "{one} allocations for {SENDS} awaited sends");
    assert!(many <= SENDS * ENQUEUE_MAX + READS_MAX, "{many} allocations for {SENDS} queued sends");
}
