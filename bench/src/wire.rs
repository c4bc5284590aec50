//! Connections without a client: prebuilt frames out, complete frames in, one epoll loop.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::frame;
use ferrocket_protocol::requests::topic::CreateTopicHeader;
use ferrocket_protocol::requests::{Header, RequestCode};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Load;

/// No Broker may keep the generator waiting for longer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const READ_LEN: usize = 256 * 1024;
/// Opaques are this plus the slot, so that each has seven digits and can be written into a prebuilt frame.
const OPAQUE_BASE: i32 = 1_000_000;

/// A request's bytes with the place of its opaque.
pub(crate) struct Template {
    bytes: Vec<u8>,
    opaque_at: usize,
}

impl Template {
    pub(crate) fn new(mut request: RemotingCommand) -> Result<Self, String> {
        request.opaque = OPAQUE_BASE;
        let bytes = frame::to_bytes(&request).to_vec();
        let mark = format!("\"opaque\":{OPAQUE_BASE}");
        let at = bytes.windows(mark.len()).position(|window| window == mark.as_bytes());
        let at = at.ok_or("the encoded header shows no opaque")?;
        Ok(Self { opaque_at: at + mark.len() - 7, bytes })
    }

    /// Appends the request of `slot`; `body_head` replaces the first bytes of the body.
    pub(crate) fn write(&self, slot: usize, body_len: usize, body_head: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let digits = (OPAQUE_BASE as usize + slot).to_string();
        out[start + self.opaque_at..][..7].copy_from_slice(digits.as_bytes());
        let body_at = out.len() - body_len;
        out[body_at..][..body_head.len()].copy_from_slice(body_head);
    }
}

/// All connections of a run.
pub(crate) struct Wire {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    read: BytesMut,
    write: Vec<u8>,
    written: usize,
}

impl Wire {
    pub(crate) fn connect(addr: SocketAddr, count: usize) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("{addr}: {error}");
        let poll = Poll::new().map_err(text)?;
        let mut connections = Vec::with_capacity(count);
        for token in 0..count {
            // Connected before it is watched: the generator starts with all connections up.
            let stream = std::net::TcpStream::connect(addr).map_err(text)?;
            stream.set_nodelay(true).map_err(text)?;
            stream.set_nonblocking(true).map_err(text)?;
            let mut stream = TcpStream::from_std(stream);
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(token), both).map_err(text)?;
            connections.push(Connection { stream, read: BytesMut::new(), write: Vec::new(), written: 0 });
        }
        Ok(Self { poll, events: Events::with_capacity(256), connections })
    }

    /// The bytes that go out on `connection` with its next [`Wire::flush`].
    pub(crate) fn out(&mut self, connection: usize) -> &mut Vec<u8> {
        &mut self.connections[connection].write
    }

    /// Writes what the socket takes now; the rest goes when it can.
    pub(crate) fn flush(&mut self, connection: usize) -> Result<(), String> {
        self.connections[connection].flush()
    }

    /// Waits for answers and hands each to `answer` as (connection, slot, frame), then writes what it left
    /// in [`Wire::out`]'s buffers. Returns after one round, at the latest after `wait`.
    pub(crate) fn round(
        &mut self,
        wait: Option<Duration>,
        mut answer: impl FnMut(usize, usize, &[u8], &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<(), String> {
        self.poll
            .poll(&mut self.events, Some(wait.unwrap_or(SILENCE_MAX)))
            .map_err(|error| error.to_string())?;
        if self.events.is_empty() && wait.is_none() {
            return Err(format!("the Broker did not answer within {SILENCE_MAX:?}"));
        }
        for event in &self.events {
            let index = event.token().0;
            let connection = &mut self.connections[index];
            if event.is_readable() {
                connection.fill()?;
                while let Some(frame) = connection.next_frame() {
                    let slot = slot(&frame)?;
                    answer(index, slot, &frame, &mut connection.write)?;
                }
            }
            connection.flush()?;
        }
        Ok(())
    }
}

impl Connection {
    fn fill(&mut self) -> Result<(), String> {
        loop {
            let len = self.read.len();
            self.read.resize(len + READ_LEN, 0);
            let result = self.stream.read(&mut self.read[len..]);
            self.read.truncate(len + *result.as_ref().unwrap_or(&0));
            match result {
                Ok(0) => return Err("the Broker closed the connection".to_owned()),
                // Edge-triggered: the socket must be drained.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("read: {error}")),
            }
        }
    }

    /// The next complete frame, its length prefix included.
    fn next_frame(&mut self) -> Option<BytesMut> {
        let mut head = self.read.get(..4)?;
        let len = 4 + head.get_u32() as usize;
        (self.read.len() >= len).then(|| self.read.split_to(len))
    }

    fn flush(&mut self) -> Result<(), String> {
        while self.written < self.write.len() {
            match self.stream.write(&self.write[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("write: {error}")),
            }
        }
        self.write.clear();
        self.written = 0;
        Ok(())
    }
}

/// The slot in an answer's opaque, found without decoding the header.
fn slot(frame: &[u8]) -> Result<usize, String> {
    number(frame, b"\"opaque\":")
        .and_then(|opaque| usize::try_from(opaque - i64::from(OPAQUE_BASE)).ok())
        .ok_or_else(|| format!("an answer without our opaque: {}", String::from_utf8_lossy(frame)))
}

/// Whether an answer's code is SUCCESS.
pub(crate) fn is_success(frame: &[u8]) -> bool {
    number(frame, b"\"code\":") == Some(0)
}

/// The digits after the first `name`.
fn number(frame: &[u8], name: &[u8]) -> Option<i64> {
    let at = frame.windows(name.len()).position(|window| window == name)? + name.len();
    let digits = frame[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0_i64, |number, digit| number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'))))
}

/// One request and its answer on a connection of its own.
pub(crate) fn call(addr: SocketAddr, request: RemotingCommand) -> Result<RemotingCommand, String> {
    let mut wire = Wire::connect(addr, 1)?;
    Template::new(request)?.write(0, 0, &[], wire.out(0));
    wire.flush(0)?;
    let mut answered = None;
    while answered.is_none() {
        wire.round(None, |_, _, frame, _| {
            answered = decode(frame)?;
            Ok(())
        })?;
    }
    answered.ok_or_else(|| "no answer".to_owned())
}

/// A frame as a command.
pub(crate) fn decode(frame: &[u8]) -> Result<Option<RemotingCommand>, String> {
    frame::decode(&mut BytesMut::from(frame)).map_err(|error| error.to_string())
}

/// Makes the workload's topic, before the clock runs.
pub(crate) fn create_topic(load: &Load) -> Result<(), String> {
    let request = RemotingCommand::request(RequestCode::UpdateAndCreateTopic, &topic_header(load));
    let answer = call(load.addr, request)?;
    if answer.code == 0 { Ok(()) } else { Err(format!("topic {}: {:?}", load.topic, answer.remark)) }
}

/// What the request that makes the workload's topic says.
pub(crate) fn topic_header(load: &Load) -> CreateTopicHeader {
    CreateTopicHeader {
        topic: load.topic.as_str().into(),
        default_topic: "TBW102".into(),
        read_queue_nums: load.queues as i32,
        write_queue_nums: load.queues as i32,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".into(),
        topic_sys_flag: Some(0),
        order: false,
        attributes: None,
        force: None,
    }
}

/// Reads an answer's header.
pub(crate) fn header<H: Header>(answer: &RemotingCommand) -> Result<H, String> {
    H::decode(&answer.ext_fields).map_err(|error| error.to_string())
}
