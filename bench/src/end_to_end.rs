//! From a send's intended time to the long-polling consumer that has the message.

use std::time::{Duration, Instant};

use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::message::RecordView;
use ferrocket_protocol::requests::RequestCode;
use ferrocket_protocol::requests::offset::{GetMaxOffsetHeader, GetMaxOffsetReply};
use ferrocket_protocol::requests::pull::PullMessageReply;

use crate::Load;
use crate::measure::{Measured, Meter, latencies};
use crate::pull;
use crate::send::template;
use crate::wire::{Wire, call, create_topic, decode, header, is_success};

const SUSPEND_MS: i64 = 10_000;
const TICK: Duration = Duration::from_millis(1);

/// One sending connection, one consuming connection to each queue. Times are those at which a message
/// should have gone out, so that a stall counts for all that it delays.
pub(crate) fn run(load: &Load) -> Result<Measured, String> {
    if load.body_size < 8 || load.rate == 0 {
        return Err("end-to-end needs --body-size 8 or more and --rate 1 or more".to_owned());
    }
    create_topic(load)?;
    let queues = load.queues as usize;
    let mut wire = Wire::connect(load.addr, queues + 1)?;
    let mut offsets = Vec::new();
    for queue in 0..load.queues {
        offsets.push(max_offset(load, queue)?);
        pull::request(load, queue, offsets[queue as usize], SUSPEND_MS)?.write(
            0,
            0,
            &[],
            wire.out(queue as usize),
        );
        wire.flush(queue as usize)?;
    }
    let templates = (0..load.queues).map(|queue| template(load, queue)).collect::<Result<Vec<_>, _>>()?;
    let total = load.warm_up + load.messages;
    let mut latency_us = latencies()?;
    let start = Instant::now();
    let mut meter = None;
    let (mut sent, mut received) = (0_u64, 0_u64);
    while received < total {
        let due = |number: u64| start + Duration::from_nanos(number * 1_000_000_000 / load.rate);
        while sent < total && Instant::now() >= due(sent) {
            let intended = due(sent).duration_since(start).as_nanos() as u64;
            let template = &templates[sent as usize % queues];
            template.write(0, load.body_size as usize, &intended.to_be_bytes(), wire.out(queues));
            sent += 1;
        }
        wire.flush(queues)?;
        if meter.is_none() && received >= load.warm_up {
            latency_us.reset();
            meter = Some(Meter::start(load.pid)?);
        }
        // A wait is rounded up to whole milliseconds: shorter ones are spent looking.
        let wait = (sent < total).then(|| due(sent).saturating_duration_since(Instant::now() + TICK));
        wire.round(wait, |connection, _, frame, out| {
            if connection == queues {
                return if is_success(frame) { Ok(()) } else { Err("a send failed".to_owned()) };
            }
            let answer = decode(frame)?.ok_or("half a frame")?;
            let reply: PullMessageReply = header(&answer)?;
            let mut records: &[u8] = if answer.code == 0 { &answer.body } else { &[] };
            while !records.is_empty() {
                let record = RecordView::parse(records).map_err(|error| format!("{error:?}"))?;
                records = &records[record.total_size..];
                let intended = record.body.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                let late = start.elapsed().saturating_sub(Duration::from_nanos(intended));
                latency_us.saturating_record(late.as_micros() as u64);
                received += 1;
            }
            offsets[connection] = reply.next_begin_offset;
            pull::request(load, connection as u32, offsets[connection], SUSPEND_MS)?.write(0, 0, &[], out);
            Ok(())
        })?;
    }
    let meter = meter.ok_or("nothing was measured")?;
    meter.stop(load.messages, latency_us)
}

fn max_offset(load: &Load, queue: u32) -> Result<i64, String> {
    let request =
        GetMaxOffsetHeader { topic: load.topic.as_str().into(), queue_id: queue as i32, committed: None };
    let answer = call(load.addr, RemotingCommand::request(RequestCode::GetMaxOffset, &request))?;
    Ok(header::<GetMaxOffsetReply>(&answer)?.offset)
}
