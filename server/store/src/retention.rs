//! Which segments go, and when the disk is too full to store more. Java counterparts: `CleanCommitLogService`,
//! `CleanConsumeQueueService`.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::segments::{Segments, file_name};
use crate::store::Store;

/// Segments that one round removes at most, as in Java.
const DELETE_BATCH_MAX: usize = 10;
const HOUR_MS: i64 = 3_600_000;

/// What the expirer looks at.
struct Facts {
    /// When each segment changed last, oldest segment first, without the last one, which stays.
    modified_ms: Vec<i64>,
    now_ms: i64,
    reserved_ms: i64,
    /// Whether segments go before their time.
    at_once: bool,
}

/// How many of the oldest segments go now. None is skipped: the log has no holes.
fn expired(facts: &Facts) -> usize {
    let due = |modified: &&i64| facts.at_once || facts.now_ms >= modified.saturating_add(facts.reserved_ms);
    facts.modified_ms.iter().take_while(due).take(DELETE_BATCH_MAX).count()
}

/// Whether the hour of `now_ms`, local time, is one of `04;05`.
fn is_hour(delete_when: &str, now_ms: i64) -> bool {
    let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let hour = now.to_zoned(TimeZone::system()).hour();
    delete_when.split(';').any(|when| when.trim().parse() == Ok(hour))
}

impl Store {
    /// One round of the expirer. Returns how many segments went.
    pub(crate) fn expire(&self) -> usize {
        let used = self.look_at_disk();
        let config = self.config();
        let ratio = config.disk_max_used_space_ratio.clamp(10, 95);
        let due = is_hour(&config.delete_when, self.clock.now_ms()) || used > ratio;
        if due { self.delete_segments(used) } else { 0 }
    }

    /// Removes expired segments now, whatever the hour. Returns how many went. Java counterpart:
    /// `executeDeleteFilesManually`.
    pub fn delete_expired_segments(&self) -> usize {
        self.delete_segments(self.look_at_disk())
    }

    /// Looks how full the disk is, and stops or resumes storing accordingly. Returns percent.
    pub(crate) fn look_at_disk(&self) -> i64 {
        let config = self.config();
        let dirs = [config.commit_log_dir(), config.store_path_root_dir.clone()];
        let used = dirs.iter().map(|dir| match self.disk.space(dir) {
            Ok(space) => space.used_percent(),
            Err(error) => {
                tracing::error!(dir = %dir.display(), %error, "how full the disk is");
                // As far as is known it is as it was.
                self.disk_used_percent.load(Ordering::Relaxed)
            }
        });
        let used = used.max().unwrap_or(0);
        self.disk_used_percent.store(used, Ordering::Relaxed);
        let full = used > config.disk_space_warning_level_ratio;
        if self.disk_full.swap(full, Ordering::Relaxed) != full {
            if full {
                tracing::error!(used, "the disk is nearly full: nothing is stored until there is room");
            } else {
                tracing::info!(used, "the disk has room again");
            }
        }
        used
    }

    fn delete_segments(&self, used: i64) -> usize {
        let deleted = self.try_delete_segments(used);
        deleted.unwrap_or_else(|error| {
            tracing::error!(%error, "removing expired files");
            0
        })
    }

    fn try_delete_segments(&self, used: i64) -> std::io::Result<usize> {
        let config = self.config();
        let entries = self.disk.list(&config.commit_log_dir())?;
        let starts = self.log.with_segments(|segments| segments.starts());
        let modified = |start: &i64| {
            let name = file_name(*start);
            entries.iter().find(|entry| entry.name == name).map_or(i64::MAX, |entry| entry.modified_ms)
        };
        let kept = starts.len().saturating_sub(1);
        let facts = Facts {
            modified_ms: starts.iter().take(kept).map(modified).collect(),
            now_ms: self.clock.now_ms(),
            reserved_ms: config.file_reserved_time * HOUR_MS,
            at_once: config.clean_file_forcibly_enable && used > config.disk_space_clean_forcibly_ratio,
        };
        let count = expired(&facts);
        for start in starts.iter().take(count) {
            // Two rounds may look at the same segments: what the other one removed is not removed again.
            let is_first = |segments: &Segments| segments.first() == Some(*start);
            self.log.with_segments(
                |segments| if is_first(segments) { segments.remove_first() } else { Ok(()) },
            )?;
        }
        if count > 0 {
            let min = self.log.min();
            tracing::info!(count, min, "expired segments removed");
            for queue in self.queues.all() {
                queue.delete_expired(min)?;
            }
            self.index.delete_expired(min)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oldest first, never past one that stays, never more than a batch.
    #[test]
    fn segments_expire_in_order() {
        let facts = |modified: &[i64], at_once| Facts {
            modified_ms: modified.to_vec(),
            now_ms: 100,
            reserved_ms: 10,
            at_once,
        };
        assert_eq!(expired(&facts(&[80, 90, 91, 80], false)), 2);
        assert_eq!(expired(&facts(&[91, 80], false)), 0);
        assert_eq!(expired(&facts(&[91, 80], true)), 2);
        assert_eq!(expired(&facts(&[0; 30], false)), DELETE_BATCH_MAX);
    }

    /// Hours are those of the local clock; what is no number never matches.
    #[test]
    fn hours_are_local() {
        let noon = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::system()).with().hour(12).build().unwrap();
        let now_ms = noon.timestamp().as_millisecond();
        assert!(is_hour("04;12", now_ms));
        assert!(!is_hour("04;13;x", now_ms));
    }
}
