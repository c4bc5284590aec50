//! Pulls what lies in a topic, as a consumer that catches up.

use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::requests::RequestCode;
use ferrocket_protocol::requests::pull::{PullMessageHeader, PullMessageReply};

use crate::Load;
use crate::measure::{Measured, Meter, latencies};
use crate::wire::{Template, Wire, decode, header};

const COUNT_MAX: i32 = 32;

/// One connection to each queue, from its first message; a queue that ends begins again.
pub(crate) fn run(load: &Load) -> Result<Measured, String> {
    let mut wire = Wire::connect(load.addr, load.queues as usize)?;
    let mut offsets = vec![0_i64; load.queues as usize];
    for queue in 0..load.queues {
        request(load, queue, 0, 0)?.write(0, 0, &[], wire.out(queue as usize));
    }
    let meter = Meter::start(load.pid)?;
    for queue in 0..load.queues as usize {
        wire.flush(queue)?;
    }
    let mut pulled = 0;
    while pulled < load.messages {
        wire.round(None, |queue, _, frame, out| {
            let answer = decode(frame)?.ok_or("half a frame")?;
            let reply: PullMessageReply = header(&answer)?;
            let got = if answer.code == 0 { reply.next_begin_offset - offsets[queue] } else { 0 };
            if got <= 0 && reply.max_offset <= reply.min_offset {
                return Err(format!("queue {queue} of {} is empty: send first", load.topic));
            }
            pulled += got.max(0) as u64;
            let ended = got <= 0 || reply.next_begin_offset >= reply.max_offset;
            offsets[queue] = if ended { reply.min_offset } else { reply.next_begin_offset };
            request(load, queue as u32, offsets[queue], 0)?.write(0, 0, &[], out);
            Ok(())
        })?;
    }
    meter.stop(pulled, latencies()?)
}

/// A pull of at most 32 messages that waits `suspend_ms` for the first.
pub(crate) fn request(load: &Load, queue: u32, offset: i64, suspend_ms: i64) -> Result<Template, String> {
    /// Bits of a pull's sysFlag. Java: `PullSysFlag`.
    const SUSPEND: i32 = 2;
    const SUBSCRIPTION: i32 = 4;
    let request = PullMessageHeader {
        consumer_group: "benchmark_consumer".into(),
        topic: load.topic.as_str().into(),
        queue_id: queue as i32,
        queue_offset: offset,
        max_msg_nums: COUNT_MAX,
        sys_flag: SUBSCRIPTION | if suspend_ms > 0 { SUSPEND } else { 0 },
        commit_offset: 0,
        suspend_timeout_millis: suspend_ms,
        subscription: Some("*".into()),
        sub_version: 0,
        expression_type: Some("TAG".into()),
        max_msg_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
    };
    Template::new(RemotingCommand::request(RequestCode::PullMessage, &request))
}
