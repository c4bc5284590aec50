//! What Java's `consumequeue_ext` (`enableConsumeQueueExt`) leaves behind in a store that is opened here.
//!
//! ```text
//! tags code of an entry < -2^31:  a place in consumequeue_ext/<topic>/<id>/, plus the smallest 64-bit number
//! unit there:                     size 2 | tags code 8 | store time 8 | bit map's size 2 | bit map
//! ```
//!
//! A unit holds nothing that the record does not: Java keeps it to judge messages by a Bloom filter without
//! looking into them. Here tags are then taken from the record, and new entries hold them as usual, which Java
//! reads with the setting on as well: it mixes both itself when a unit cannot be written. Units are only ever
//! removed, a file at a time, when no entry refers to it or to one before it any more: at open, and with their
//! queue. Java counterpart: `ConsumeQueueExt`.

use std::io;
use std::path::Path;

use crate::config::UNIT_LEN;
use crate::consume_queue::{ConsumeQueue, QueueEntry};
use crate::disk::Disk;
use crate::queues::Queues;
use crate::record::{self, Place, StoreProperties};
use crate::store::Store;

/// Entries that are read at a time.
const CHUNK: usize = 3_200;

/// Where in the units of its queue an entry points to, if it does.
fn place_of(entry: QueueEntry) -> Option<i64> {
    (entry.tags_code < i64::from(i32::MIN)).then(|| entry.tags_code.wrapping_sub(i64::MIN))
}

/// The first place that an entry of this queue still points to.
fn first_place(queue: &ConsumeQueue) -> Option<i64> {
    let mut number = queue.min();
    loop {
        let units = queue.read(number, CHUNK);
        let mut entries = units.chunks_exact(UNIT_LEN).filter_map(QueueEntry::read);
        match entries.find_map(place_of) {
            Some(place) => return Some(place),
            // That the disk fails just now is no reason to remove anything.
            None if units.is_empty() => return (number < queue.end()).then_some(0),
            None => number += (units.len() / UNIT_LEN) as i64,
        }
    }
}

/// Removes the files of units that no entry refers to any more.
pub(crate) fn clean(disk: &dyn Disk, root: &Path, queues: &Queues) -> io::Result<()> {
    let dir = root.join("consumequeue_ext");
    for topic in disk.list(&dir)?.into_iter().filter(|entry| entry.is_dir) {
        let topic_dir = dir.join(&topic.name);
        for number in disk.list(&topic_dir)?.into_iter().filter(|entry| entry.is_dir) {
            let Ok(queue_id) = number.name.parse() else { continue };
            let needed_from = queues.get(&topic.name, queue_id).and_then(|queue| first_place(&queue));
            let queue_dir = topic_dir.join(&number.name);
            for file in disk.list(&queue_dir)? {
                let end =
                    file.name.parse::<i64>().ok().and_then(|start| start.checked_add_unsigned(file.len));
                let needed = end.is_none_or(|end| needed_from.is_some_and(|from| end >= from));
                if !file.is_dir && !needed {
                    tracing::info!(
                        topic = topic.name,
                        queue_id,
                        file = file.name,
                        "no entry needs these units"
                    );
                    disk.remove_file(&queue_dir.join(&file.name))?;
                }
            }
            if disk.list(&queue_dir)?.is_empty() {
                disk.remove_dir(&queue_dir)?;
            }
        }
        if disk.list(&topic_dir)?.is_empty() {
            disk.remove_dir(&topic_dir)?;
        }
    }
    Ok(())
}

impl Store {
    /// The entry with its tags code, where it holds the place of one; `None` if the record cannot be read.
    pub(crate) fn with_tags_code(&self, entry: QueueEntry) -> Option<QueueEntry> {
        if place_of(entry).is_none() {
            return Some(entry);
        }
        let bytes = self.log.read(entry.physical_offset, usize::try_from(entry.size).ok()?)?;
        let Place::Record(found) = record::read(&bytes, false) else { return None };
        let properties = StoreProperties::read(&found.properties);
        let tags_code = properties.tags_code(&found.topic, found.store_timestamp, &self.delay_levels);
        Some(QueueEntry { tags_code, ..entry })
    }

    /// Removes what is left of queues that are gone; a failure costs disk space, nothing else.
    pub(crate) fn clean_ext(&self) {
        let cleaned = clean(&*self.disk, &self.opened.store_path_root_dir, &self.queues);
        if let Err(error) = cleaned {
            tracing::warn!(%error, "removing units of consumequeue_ext");
        }
    }
}
