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

/// These parts as one text. `len_max` says how many bytes that may have.
pub(crate) fn text<'a>(len_max: usize, parts: impl IntoIterator<Item = &'a [u8]>) -> Text {
    if len_max > SHORT_MAX {
        let mut text = Vec::with_capacity(len_max);
        parts.into_iter().for_each(|part| text.extend_from_slice(part));
        return Text::try_from(text).expect("characters are UTF-8");
    }
    let bytes = BLOCK.with_borrow_mut(|block| {
        // Takes a new block when this one is used up and still has readers.
        block.reserve(len_max);
        parts.into_iter().for_each(|part| block.extend_from_slice(part));
        block.split().freeze()
    });
    Text::try_from(bytes).expect("characters are UTF-8")
}
