//! The texts of pop consumption (5.x): where a popped message stands, and what a pop has handed out.
//!
//! ```text
//! extra info (property POP_CK)  ckQueueOffset popTime invisibleTime reviveQueueId kind broker queueId [queueOffset]
//! receipt handle                the eight words of a message's extra info, and its CommitLog offset
//! startOffsetInfo               kind queueId offset;..
//! msgOffsetInfo                 kind queueId offset,offset,..;..
//! orderCountInfo                kind queueId count;..  or  kind qo<queueId>%<queueOffset> count;..
//! ```
//!
//! Java counterparts: `ExtraInfoUtil`, `ReceiptHandle`, `KeyBuilder`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::body::pop::TopicKind;
use crate::command::Text;

/// The revive queue of an ordered pop, which is no queue: such pops write no checkpoint.
pub const ORDERLY_REVIVE_QUEUE: i32 = 999;

/// Where a popped message stands, as its property `POP_CK`; with the CommitLog offset it is a receipt handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraInfo {
    /// The queue offset of the first message of the same checkpoint.
    pub ck_queue_offset: i64,
    /// When it was popped, ms since 1970.
    pub pop_time: i64,
    /// For how long nobody else gets it, ms.
    pub invisible_time: i64,
    /// The queue of the revive topic with its checkpoint, or [`ORDERLY_REVIVE_QUEUE`].
    pub revive_queue_id: i32,
    /// Which topic it is in.
    pub kind: TopicKind,
    /// The broker that it is on.
    pub broker_name: Text,
    /// The queue that it is in.
    pub queue_id: i32,
    /// Its queue offset.
    pub queue_offset: i64,
    /// Its CommitLog offset.
    pub physical_offset: Option<i64>,
}

impl ExtraInfo {
    /// Reads the text; `None` if it has not eight or nine words, or one is not what it should be.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let info = Self {
            ck_queue_offset: number(words.next()?)?,
            pop_time: number(words.next()?)?,
            invisible_time: number(words.next()?)?,
            revive_queue_id: number(words.next()?)?,
            kind: TopicKind::parse(words.next()?)?,
            broker_name: words.next()?.into(),
            queue_id: number(words.next()?)?,
            queue_offset: number(words.next()?)?,
            physical_offset: words.next().map_or(Some(None), |word| number(word).map(Some))?,
        };
        words.next().is_none().then_some(info)
    }
}

impl fmt::Display for ExtraInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ck_queue_offset, pop_time, invisible_time, revive_queue_id, kind, broker_name, .. } = self;
        write!(f, "{ck_queue_offset} {pop_time} {invisible_time} {revive_queue_id} {kind} {broker_name} ")?;
        write!(f, "{} {}", self.queue_id, self.queue_offset)?;
        self.physical_offset.map_or(Ok(()), |offset| write!(f, " {offset}"))
    }
}

/// What an entry of [`PopEntries`] is about. Messages sort first, as a broker writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PopKey {
    /// One message: queue id and queue offset.
    Message(i32, i64),
    /// A whole queue.
    Queue(i32),
}

/// The entries of a startOffsetInfo (one number each: the first offset), a msgOffsetInfo (the offsets of the
/// messages) or an orderCountInfo (one number: how often it was consumed).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PopEntries(pub BTreeMap<(TopicKind, PopKey), Vec<i64>>);

impl PopEntries {
    /// Reads the text; `None` if an entry is broken or there twice, which Java refuses too.
    pub fn parse(text: &str) -> Option<Self> {
        let mut entries = BTreeMap::new();
        for entry in text.split_terminator(';') {
            let (kind, rest) = entry.split_once(' ')?;
            let (key, numbers) = rest.split_once(' ')?;
            let key = match key.strip_prefix("qo") {
                None => PopKey::Queue(number(key)?),
                Some(key) => {
                    let (queue_id, queue_offset) = key.split_once('%')?;
                    PopKey::Message(number(queue_id)?, number(queue_offset)?)
                }
            };
            let numbers = numbers.split(',').map(number).collect::<Option<_>>()?;
            if entries.insert((TopicKind::parse(kind)?, key), numbers).is_some() {
                return None;
            }
        }
        Some(Self(entries))
    }
}

impl fmt::Display for PopEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, ((kind, key), numbers)) in self.0.iter().enumerate() {
            f.write_str(if place > 0 { ";" } else { "" })?;
            match key {
                PopKey::Message(queue_id, queue_offset) => write!(f, "{kind} qo{queue_id}%{queue_offset} ")?,
                PopKey::Queue(queue_id) => write!(f, "{kind} {queue_id} ")?,
            }
            f.write_str(&numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(","))?;
        }
        Ok(())
    }
}

fn number<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broken text is no text: nothing of it is taken.
    #[test]
    fn broken_texts_are_refused() {
        let whole = "100 1700000000000 60000 3 2 b 1 105 4096";
        for words in 0..=10 {
            let text = format!("{whole} 1").split(' ').take(words).collect::<Vec<_>>().join(" ");
            assert_eq!(ExtraInfo::parse(&text).is_some(), (8..=9).contains(&words), "{text}");
            assert!(ExtraInfo::parse(&text).is_none_or(|info| info.to_string() == text));
        }
        for (at, word) in whole.split(' ').enumerate().filter(|(_, word)| *word != "b") {
            let broken: Vec<_> =
                whole.split(' ').enumerate().map(|(n, w)| if n == at { "x" } else { w }).collect();
            assert_eq!(ExtraInfo::parse(&broken.join(" ")), None, "{word}");
        }
        for text in [
            "0 1",
            "0 1 ",
            "3 1 5",
            "0 x 5",
            "0 1 5;0 1 6",
            "0 qo1 5",
            "0 qo1%x 5",
            "0 1 5 6",
            "0 1 5;;",
            "-1 1 5",
        ] {
            assert_eq!(PopEntries::parse(text), None, "{text}");
        }
        assert_eq!(PopEntries::parse(""), Some(PopEntries::default()));
    }

    /// The kind is in the topic's name.
    #[test]
    fn kinds_are_topics() {
        let kinds =
            ["a+b", "%RETRY%G_T", "%RETRY%G", "%RETRY%G+T"].map(|topic| TopicKind::of(topic).to_string());
        assert_eq!(kinds, ["0", "1", "1", "2"]);
    }
}
