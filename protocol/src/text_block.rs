//! Short texts that live about as long as one request, many in one block of memory.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::command::Text;

/// Bytes of a block; what a text that is kept for long keeps at most.
const BLOCK_LEN: usize = 4_096;
/// Longer texts have memory of their own.
const SHORT_MAX: usize = 512;

thread_local! {
    /// What is left of this thread's block.
    static BLOCK: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(BLOCK_LEN));
}

/// The text of at most `len_max` bytes that `write` writes.
pub(crate) fn text(len_max: usize, write: impl FnOnce(&mut BytesMut)) -> Text {
    let cut = |block: &mut BytesMut| {
        // Takes a new block when this one is used up and still has readers.
        block.reserve(len_max);
        write(block);
        block.split().freeze()
    };
    let bytes = match len_max {
        0..=SHORT_MAX => BLOCK.with_borrow_mut(cut),
        _ => cut(&mut BytesMut::new()),
    };
    // Callers write characters, never bytes.
    Text::try_from(bytes).unwrap_or_default()
}
