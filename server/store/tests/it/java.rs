//! What Java 4.9 makes of a folder when it opens it: its loading and recovery, told again in the words of the
//! tests. See FORMATS: `MappedFileQueue.load`, `ConsumeQueue.recover`, `recoverNormally`, `recoverAbnormally`.

use std::collections::BTreeMap;

use ferrocket_protocol::RecordView;
use ferrocket_protocol::message::{MAGIC_BLANK, MAGIC_V1};
use ferrocket_store::Disk;

use crate::world::World;

/// Queues by topic and id: the physical offsets of their entries from `first` on.
pub(crate) type Queues = BTreeMap<(String, i32), Queue>;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) first: i64,
    pub(crate) entries: Vec<i64>,
    max_physical: i64,
}

#[derive(Debug)]
pub(crate) struct JavaView {
    pub(crate) log_end: i64,
    pub(crate) queues: Queues,
}

fn load(world: &World, dir: &str, len: u64) -> Result<Vec<(i64, Vec<u8>)>, String> {
    let mut entries = world.disk.list(&world.path(dir)).unwrap();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
        .into_iter()
        .map(|entry| {
            if entry.is_dir || entry.len != len {
                return Err(format!("{dir}/{}: length not matched", entry.name));
            }
            Ok((entry.name.parse().unwrap(), world.bytes(&format!("{dir}/{}", entry.name))))
        })
        .collect()
}

fn unit(bytes: &[u8]) -> (i64, i32) {
    (i64::from_be_bytes(bytes[..8].try_into().unwrap()), i32::from_be_bytes(bytes[8..12].try_into().unwrap()))
}

/// Opens the folder as Java would.
pub(crate) fn open(world: &World) -> Result<JavaView, String> {
    let clean = !world.disk.exists(&world.path("abort")).unwrap();
    let segment_len = world.config.mapped_file_size_commit_log;
    let segments = load(world, "commitlog", segment_len as u64)?;
    let mut queues = Queues::new();
    for topic in world.names("consumequeue") {
        for id in world.names(&format!("consumequeue/{topic}")) {
            let dir = format!("consumequeue/{topic}/{id}");
            let files = load(world, &dir, world.config.consume_queue_file_len() as u64)?;
            if let Some((first, bytes)) = files.last() {
                assert!(unit(bytes).1 > 0, "{dir}/{first:020} has no first entry: Java would count it");
            }
            let mut queue = Queue { first: files.first().map_or(0, |file| file.0 / 20), ..Queue::default() };
            'files: for (_, bytes) in &files {
                for bytes in bytes.chunks_exact(20) {
                    let (offset, size) = unit(bytes);
                    if offset < 0 || size <= 0 {
                        break 'files;
                    }
                    queue.entries.push(offset);
                    queue.max_physical = offset + i64::from(size);
                }
            }
            queues.insert((topic.clone(), id.parse().unwrap()), queue);
        }
    }
    let checkpoint = world.bytes("checkpoint");
    let time = |at: usize| i64::from_be_bytes(checkpoint[at..at + 8].try_into().unwrap());
    let flushed = (time(0).min(time(8)) - 3000).max(0);
    let from = if clean {
        segments.len().saturating_sub(3)
    } else {
        let flushed_first = |bytes: &Vec<u8>| {
            let view = RecordView::parse(bytes);
            view.is_ok_and(|view| view.store_timestamp != 0 && view.store_timestamp <= flushed)
        };
        segments.iter().rposition(|(_, bytes)| flushed_first(bytes)).unwrap_or(0)
    };
    let (mut log_end, mut dispatched) = (0, Vec::new());
    'segments: for (start, bytes) in segments.iter().skip(from) {
        log_end = *start;
        loop {
            let rest = &bytes[(log_end - start) as usize..];
            if rest.get(4..8) == Some(&MAGIC_BLANK.to_be_bytes()[..]) {
                break;
            }
            match RecordView::parse(rest) {
                Ok(view) if view.magic == MAGIC_V1 && view.body_crc_matches() => {
                    dispatched.push((
                        view.topic.to_owned(),
                        view.queue_id,
                        view.queue_offset,
                        log_end,
                        view.total_size,
                    ));
                    log_end += view.total_size as i64;
                }
                _ => break 'segments,
            }
        }
    }
    if !clean {
        for (topic, id, number, offset, size) in dispatched {
            let queue = queues.entry((topic, id)).or_default();
            if offset + size as i64 > queue.max_physical {
                if queue.entries.is_empty() {
                    queue.first = number;
                }
                assert_eq!(number, queue.first + queue.entries.len() as i64, "logic queue order maybe wrong");
                queue.entries.push(offset);
                queue.max_physical = offset + size as i64;
            }
        }
    }
    for queue in queues.values_mut() {
        queue.entries.retain(|offset| *offset < log_end);
    }
    queues.retain(|_, queue| !queue.entries.is_empty());
    Ok(JavaView { log_end, queues })
}
