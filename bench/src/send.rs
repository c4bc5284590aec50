//! Sends in a closed loop: each answer lets the next request go.

use std::time::Instant;

use ferrocket_protocol::command::{ExtFields, RemotingCommand};
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::requests::{Empty, RequestCode};

use crate::Load;
use crate::measure::{Measured, Meter, latencies};
use crate::wire::{Template, Wire, create_topic, is_success};

/// Warms up, then measures `load.messages`.
pub(crate) fn run(load: &Load) -> Result<Measured, String> {
    create_topic(load)?;
    let mut loop_ = Loop::new(load)?;
    loop_.send(load.warm_up)?;
    loop_.latency_us.reset();
    let meter = Meter::start(load.pid)?;
    loop_.send(load.messages)?;
    meter.stop(load.messages, loop_.latency_us)
}

struct Loop {
    wire: Wire,
    templates: Vec<Template>,
    body_len: usize,
    /// When the request of a slot went out, by connection and slot.
    sent_at: Vec<Vec<Instant>>,
    latency_us: hdrhistogram::Histogram<u64>,
}

impl Loop {
    fn new(load: &Load) -> Result<Self, String> {
        let (connections, window) = (load.connections.max(1) as usize, load.window.max(1) as usize);
        Ok(Self {
            wire: Wire::connect(load.addr, connections)?,
            templates: (0..load.queues).map(|queue| template(load, queue)).collect::<Result<_, _>>()?,
            body_len: load.body_size as usize,
            sent_at: vec![vec![Instant::now(); window]; connections],
            latency_us: latencies()?,
        })
    }

    fn send(&mut self, count: u64) -> Result<(), String> {
        let Self { wire, templates, body_len, sent_at, latency_us } = self;
        let (mut sent, mut answered) = (0_u64, 0_u64);
        for (connection, slots) in sent_at.iter_mut().enumerate() {
            for (slot, at) in slots.iter_mut().enumerate().take((count - sent) as usize) {
                *at = Instant::now();
                templates[sent as usize % templates.len()].write(slot, *body_len, &[], wire.out(connection));
                sent += 1;
            }
            wire.flush(connection)?;
        }
        while answered < count {
            wire.round(None, |connection, slot, frame, out| {
                if !is_success(frame) {
                    return Err(format!("a send failed: {}", String::from_utf8_lossy(frame)));
                }
                let now = Instant::now();
                let at = sent_at[connection].get_mut(slot).ok_or("an answer to no request")?;
                latency_us.saturating_record(now.duration_since(*at).as_micros() as u64);
                answered += 1;
                if sent < count {
                    *at = now;
                    templates[sent as usize % templates.len()].write(slot, *body_len, &[], out);
                    sent += 1;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// The request of a send to one queue, in the short form that Java clients use.
pub(crate) fn template(load: &Load, queue: u32) -> Result<Template, String> {
    keyed_template(load, queue, "7F0000010001ABCDEF0123456789ABCD")
}

/// The same with this unique key.
pub(crate) fn keyed_template(load: &Load, queue: u32, unique_key: &str) -> Result<Template, String> {
    let header = SendMessageHeader {
        producer_group: "benchmark_producer".into(),
        topic: load.topic.as_str().into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: queue as i32,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        flag: 0,
        properties: Some(format!("UNIQ_KEY\u{1}{unique_key}\u{2}WAIT\u{1}true").into()),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        batch: Some(false),
        max_reconsume_times: None,
    };
    let mut fields = ExtFields::new();
    header.encode_v2(&mut fields);
    let mut request = RemotingCommand::request(RequestCode::SendMessageV2, &Empty {});
    request.ext_fields = fields;
    Template::new(request.with_body(vec![b'x'; load.body_size as usize]))
}
