//! Messages as one buffer, which JavaScript reads field by field when it is asked for them.
//!
//! ```text
//! u32 length of the record   f64 queue offset      i32 queue id     text: JSON
//! u32 length of the text     f64 born timestamp    i32 flag            [topic, brokerName, msgId, bornHost,
//!                            f64 store timestamp   i32 sys flag         storeHost, {properties}]
//!                            f64 CommitLog offset  i32 store size   body
//!                            f64 prepared          i32 body CRC
//!                                transaction       i32 reconsume
//!                                offset                times
//! ```
//!
//! Little-endian. Offsets and times are JavaScript's numbers, exact to 2^53.

use std::collections::BTreeMap;

use ferrocket_bindings::ferrocket::{Error, ErrorKind, MessageExt, Result};

/// Bytes before the text.
const HEAD_LEN: usize = 72;

pub(crate) fn encode<'a>(messages: impl IntoIterator<Item = &'a MessageExt>) -> Result<Vec<u8>> {
    let mut batch = Vec::new();
    for message in messages {
        encode_one(&mut batch, message)?;
    }
    Ok(batch)
}

fn too_long(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("a message does not fit into a batch: {what}"))
}

fn encode_one(batch: &mut Vec<u8>, message: &MessageExt) -> Result<()> {
    let at = batch.len();
    batch.reserve(HEAD_LEN + 256 + message.body.len());
    // The lengths are known at the end.
    batch.extend_from_slice(&[0; 8]);
    for number in [
        message.queue_offset,
        message.born_timestamp,
        message.store_timestamp,
        message.commit_log_offset,
        message.prepared_transaction_offset,
    ] {
        batch.extend_from_slice(&(number as f64).to_le_bytes());
    }
    for number in [
        message.queue_id,
        message.flag,
        message.sys_flag,
        message.store_size,
        message.body_crc,
        message.reconsume_times,
    ] {
        batch.extend_from_slice(&number.to_le_bytes());
    }
    let properties: BTreeMap<&str, &str> = message.properties().collect();
    let names = [&*message.topic, &*message.broker_name, &*message.msg_id];
    let text = (names[0], names[1], names[2], message.born_host, message.store_host, properties);
    serde_json::to_writer(&mut *batch, &text).map_err(too_long)?;
    let text_len = batch.len() - at - HEAD_LEN;
    batch.extend_from_slice(&message.body);
    for (place, len) in [(at, batch.len() - at), (at + 4, text_len)] {
        let len = u32::try_from(len).map_err(too_long)?;
        batch[place..place + 4].copy_from_slice(&len.to_le_bytes());
    }
    Ok(())
}
