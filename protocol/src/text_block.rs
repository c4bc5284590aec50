//! Short texts that live about as long as one request, many in one block of memory.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

use crate::command::Text;

/// Bytes of a block; what a text that is kept for long keeps at most.
const BLOCK_LEN: usize = 4_096;
/// Longer texts have memory of their own.
const SHORT_MAX: usize = 512;

/// What a thread keeps at most to put texts together in.
const SCRATCH_KEPT_MAX: usize = 16 << 10;

thread_local! {
    /// What is left of this thread's block.
    static BLOCK: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(BLOCK_LEN));
    /// Where texts of many small pieces are put together, which a growing vector takes at the least cost.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// These parts in one piece.
pub(crate) fn bytes(parts: &[&[u8]]) -> Bytes {
    let len = parts.iter().map(|part| part.len()).sum();
    if len > SHORT_MAX {
        return parts.concat().into();
    }
    BLOCK.with_borrow_mut(|block| {
        // Takes a new block when this one is used up and still has readers.
        block.reserve(len);
        parts.iter().for_each(|part| block.extend_from_slice(part));
        block.split().freeze()
    })
}

/// These parts, which are characters, as one text.
pub(crate) fn text(parts: &[&[u8]]) -> Text {
    Text::try_from(bytes(parts)).expect("characters are UTF-8")
}

/// Lends the thread's emptied vector.
#[inline]
pub(crate) fn with_scratch<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        let answer = write(scratch);
        if scratch.capacity() > SCRATCH_KEPT_MAX {
            *scratch = Vec::new();
        }
        answer
    })
}
