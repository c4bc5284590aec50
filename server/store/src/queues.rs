//! All ConsumeQueues by topic and number. Java counterpart: `consumeQueueTable`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use ferrocket_protocol::Text;

use crate::consume_queue::ConsumeQueue;
use crate::consume_queue_ext::Units;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::multi_dispatch::is_lmq;
use crate::segments::{OpenFiles, Segments};

/// Files of all queues that stay open. Opening one again takes microseconds.
const OPEN_FILES_MAX: usize = 256;

/// The table, and which queues have something to write out.
pub(crate) struct Queues {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    building: Arc<Path>,
    file_len: i64,
    open: OpenFiles,
    /// Where queues keep their units, and bytes of a file of them; set when the queues are recovered.
    ext: OnceLock<(PathBuf, i64)>,
    /// Light queues in the table; changed under its lock.
    lmq_count: AtomicUsize,
    /// Read by every append and get, changed when a queue gets its first message or goes.
    table: RwLock<HashMap<Text, BTreeMap<i32, Arc<ConsumeQueue>>>>,
    /// Each queue at most once: see [`ConsumeQueue::listed`].
    dirty: Mutex<Vec<Arc<ConsumeQueue>>>,
}

/// Whether a topic can be the name of a folder: it is used as one.
pub(crate) fn is_folder_name(topic: &str) -> bool {
    !topic.is_empty() && topic != "." && topic != ".." && !topic.contains(['/', '\\', '\0'])
}

impl Queues {
    /// Reads `consumequeue/<topic>/<number>/`.
    pub(crate) fn load(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        building: Arc<Path>,
        file_len: i64,
    ) -> Result<Self, OpenError> {
        let queues = Self {
            disk,
            dir,
            building,
            file_len,
            open: OpenFiles::up_to(OPEN_FILES_MAX),
            ext: OnceLock::new(),
            lmq_count: AtomicUsize::new(0),
            table: RwLock::new(HashMap::new()),
            dirty: Mutex::new(Vec::new()),
        };
        let list = |dir: &Path| {
            let mut entries = queues.disk.list(dir).map_err(OpenError::io("listing", dir))?;
            entries.retain(|entry| entry.is_dir);
            Ok(entries)
        };
        let mut table: HashMap<Text, BTreeMap<i32, Arc<ConsumeQueue>>> = HashMap::new();
        for topic in list(&queues.dir)? {
            let topic_dir = queues.dir.join(&topic.name);
            for number in list(&topic_dir)? {
                // Java skips other names as well.
                let Ok(queue_id) = number.name.parse::<i32>() else { continue };
                let dir = topic_dir.join(&number.name);
                let (disk, building) = (queues.disk.clone(), queues.building.clone());
                let segments = Segments::load(disk, dir, building, file_len, queues.open.clone())?;
                if segments.count() > 0 {
                    let name = Text::from(topic.name.as_str());
                    let queue = Arc::new(ConsumeQueue::new(name.clone(), queue_id, segments));
                    table.entry(name).or_default().insert(queue_id, queue);
                }
            }
        }
        let lmq = table.iter().filter(|(topic, _)| is_lmq(topic)).map(|(_, queues)| queues.len()).sum();
        queues.lmq_count.store(lmq, Ordering::Relaxed);
        *queues.table.write().expect("queues") = table;
        Ok(queues)
    }

    /// From now on every queue keeps units, in `<dir>/<topic>/<number>/`. Called once, when all queues are recovered.
    pub(crate) fn open_units(&self, dir: PathBuf, file_len: i64) -> Result<(), OpenError> {
        for queue in self.all() {
            let dir = dir.join(&*queue.topic).join(queue.queue_id.to_string());
            let (disk, building) = (self.disk.clone(), self.building.clone());
            let segments = Segments::load(disk, dir.clone(), building, file_len, self.open.clone())?;
            let units =
                Units::load(segments, queue.end()).map_err(OpenError::io("reading units in", &dir))?;
            queue.units.get_or_init(|| Box::new(units));
        }
        self.ext.get_or_init(|| (dir, file_len));
        Ok(())
    }

    pub(crate) fn get(&self, topic: &str, queue_id: i32) -> Option<Arc<ConsumeQueue>> {
        self.table.read().expect("queues").get(topic)?.get(&queue_id).cloned()
    }

    /// The queue, made if there is none; the topic must be a folder name.
    pub(crate) fn get_or_create(&self, topic: &str, queue_id: i32) -> Arc<ConsumeQueue> {
        if let Some(queue) = self.get(topic, queue_id) {
            return queue;
        }
        let mut table = self.table.write().expect("queues");
        let name = table.get_key_value(topic).map_or_else(|| Text::from(topic), |(name, _)| name.clone());
        let make = || {
            self.lmq_count.fetch_add(is_lmq(topic).into(), Ordering::Relaxed);
            let dir = self.dir.join(topic).join(queue_id.to_string());
            let segments = |dir, len| {
                Segments::new(self.disk.clone(), dir, self.building.clone(), len, self.open.clone())
            };
            let queue = ConsumeQueue::new(name.clone(), queue_id, segments(dir, self.file_len));
            if let Some((dir, len)) = self.ext.get() {
                let dir = dir.join(topic).join(queue_id.to_string());
                queue.units.get_or_init(|| Box::new(Units::empty(segments(dir, *len))));
            }
            Arc::new(queue)
        };
        table.entry(name.clone()).or_default().entry(queue_id).or_insert_with(make).clone()
    }

    /// Light queues that there are.
    pub(crate) fn lmq_count(&self) -> usize {
        self.lmq_count.load(Ordering::Relaxed)
    }

    /// The folder that holds all queues.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every queue, by topic and number: what is done to all of them is done in the same order every time.
    pub(crate) fn all(&self) -> Vec<Arc<ConsumeQueue>> {
        let table = self.table.read().expect("queues");
        let mut topics: Vec<_> = table.iter().collect();
        topics.sort_unstable_by_key(|(topic, _)| *topic);
        topics.into_iter().flat_map(|(_, queues)| queues.values()).cloned().collect()
    }

    /// The queue has something to write out.
    pub(crate) fn list_dirty(&self, queue: &Arc<ConsumeQueue>) {
        if !queue.listed.swap(true, Ordering::AcqRel) {
            self.dirty.lock().expect("dirty queues").push(queue.clone());
        }
    }

    /// The queues that have something to write out, which are listed anew from now on.
    pub(crate) fn take_dirty(&self) -> Vec<Arc<ConsumeQueue>> {
        let dirty = std::mem::take(&mut *self.dirty.lock().expect("dirty queues"));
        for queue in &dirty {
            queue.listed.store(false, Ordering::Release);
        }
        dirty
    }

    /// Takes the queues for which `gone` says so out of the table and removes their files. Returns how many.
    pub(crate) fn remove(&self, gone: impl Fn(&ConsumeQueue) -> bool) -> io::Result<usize> {
        let mut removed = Vec::new();
        let mut table = self.table.write().expect("queues");
        table.retain(|_, queues| {
            queues.retain(|_, queue| {
                let gone = gone(queue);
                if gone {
                    removed.push(queue.clone());
                }
                !gone
            });
            !queues.is_empty()
        });
        let lmq = removed.iter().filter(|queue| is_lmq(&queue.topic)).count();
        self.lmq_count.fetch_sub(lmq, Ordering::Relaxed);
        drop(table);
        removed
            .sort_unstable_by(|one, other| (&one.topic, one.queue_id).cmp(&(&other.topic, other.queue_id)));
        for queue in &removed {
            queue.destroy()?;
        }
        Ok(removed.len())
    }
}
