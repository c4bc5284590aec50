//! Encoded frames on their way to a peer.
//!
//! Heads and small bodies are gathered in one buffer, because copying them costs less than a long list of
//! slices does; large bodies are written from where they lie.
//!
//! Java counterpart: Netty's `ChannelOutboundBuffer`.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::frame::{self, FRAME_LEN_MAX};

/// Bodies up to this length are copied behind their heads.
const COPY_MAX: usize = 16 * 1024;
/// Most slices of one vectored write.
pub(crate) const SLICES_MAX: usize = 32;
/// The fixed part of a JSON header is shorter than this.
const HEADER_FIXED_MAX: usize = 256;
/// Room for the head of most frames.
const HEAD_LEN_USUAL: usize = 512;
/// Most room that is taken at once for frames that may follow.
const AHEAD_MAX: usize = 256 * 1024;
/// What one byte of text at most becomes in a JSON header (`\u0001`).
const ESCAPED_MAX: usize = 6;

/// Frames in the order they are to be written.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// Written first.
    parts: VecDeque<Bytes>,
    /// Written last; frames are appended here.
    tail: BytesMut,
    /// Bytes in both.
    len: usize,
    /// Bytes of the last frames that lay here together: as many may follow. The memory itself is not kept, as most
    /// connections have nothing to say for long.
    ahead: usize,
}

/// The greatest length the frame of `command` can have, if it exceeds what peers read.
pub(crate) fn too_large(command: &RemotingCommand) -> Option<usize> {
    let fields = command.ext_fields.iter().map(|(name, value)| name.len() + value.len() + 6).sum::<usize>();
    let text = fields + command.remark.as_ref().map_or(0, |remark| remark.len());
    let len = 8 + HEADER_FIXED_MAX + text * ESCAPED_MAX + command.body.len();
    (len > FRAME_LEN_MAX - 8).then_some(len)
}

impl Outbound {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a frame and returns its length. The command is not [`too_large`].
    pub(crate) fn push(&mut self, command: &RemotingCommand) -> usize {
        let before = self.tail.len();
        let copied = command.body.len() <= COPY_MAX;
        // At once: a head is many small writes, each of which may find the buffer full.
        let room = HEAD_LEN_USUAL + if copied { command.body.len() } else { 0 };
        self.tail.reserve(if self.tail.capacity() == 0 { room.max(self.ahead) } else { room });
        frame::encode_head(command, &mut self.tail);
        let added = self.tail.len() - before + command.body.len();
        if copied {
            self.tail.extend_from_slice(&command.body);
        } else {
            self.parts.push_back(self.tail.split().freeze());
            self.parts.push_back(command.body.clone());
        }
        self.len += added;
        added
    }

    /// Moves all frames of `later` behind those already here.
    pub(crate) fn append(&mut self, later: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, later);
            return;
        }
        if !later.parts.is_empty() {
            if !self.tail.is_empty() {
                self.parts.push_back(self.tail.split().freeze());
            }
            self.parts.append(&mut later.parts);
        }
        if self.tail.is_empty() {
            self.tail = std::mem::take(&mut later.tail);
        } else {
            self.tail.extend_from_slice(&later.tail);
            later.tail.clear();
        }
        self.len += std::mem::take(&mut later.len);
    }

    /// The first bytes to write, in at most [`SLICES_MAX`] slices; returns how many it filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let parts = self.parts.iter().map(|part| &part[..]).chain(tail);
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    /// Forgets the first `written` bytes, and the buffers once everything is written.
    pub(crate) fn advance(&mut self, mut written: usize) {
        self.len -= written;
        if self.len == 0 {
            *self = Self { ahead: (self.tail.len() + HEAD_LEN_USUAL).min(AHEAD_MAX), ..Self::default() };
            return;
        }
        while let Some(part) = self.parts.front_mut() {
            if written < part.len() {
                part.advance(written);
                return;
            }
            written -= part.len();
            self.parts.pop_front();
        }
        self.tail.advance(written);
    }
}

#[cfg(test)]
mod tests {
    use ferrocket_protocol::requests::{Empty, RequestCode};

    use super::*;

    fn command(body: usize) -> RemotingCommand {
        RemotingCommand::request(RequestCode::GetBrokerClusterInfo, &Empty).with_body(vec![7; body])
    }

    fn all_bytes(outbound: &mut Outbound, step: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !outbound.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let filled = outbound.slices(&mut slices);
            let first: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = first.len().min(step);
            bytes.extend_from_slice(&first[..taken]);
            outbound.advance(taken);
        }
        bytes
    }

    /// Whatever the mix of small and large bodies and however little each write takes, frames leave
    /// whole and in order.
    #[test]
    fn keeps_order_and_bytes() {
        for step in [1_000, 20_000, usize::MAX] {
            let (mut first, mut second) = (Outbound::default(), Outbound::default());
            let mut expected = Vec::new();
            for body in [0, 10, COPY_MAX + 1, 5, COPY_MAX] {
                first.push(&command(body));
                expected.extend_from_slice(&frame::to_bytes(&command(body)));
            }
            for body in [3, COPY_MAX * 2, 1] {
                second.push(&command(body));
                expected.extend_from_slice(&frame::to_bytes(&command(body)));
            }
            first.append(&mut second);
            assert!(second.is_empty());
            assert_eq!(first.len, expected.len());
            assert!(all_bytes(&mut first, step) == expected, "bytes differ with writes of {step}");
        }
    }

    /// What cannot be read by any peer is found before it is encoded.
    #[test]
    fn knows_what_no_peer_reads() {
        assert_eq!(too_large(&command(15 << 20)), None);
        assert!(too_large(&command(16 << 20)).is_some());
    }
}
