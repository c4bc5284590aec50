//! What the broker counts: totals, rates over sliding windows, and Java's named statistics per topic and group.
//!
//! A plain core: handlers add, [`Stats::tick`] is called once a second with the time, readers get snapshots.
//! Left out: the commercial statistics. `GROUP_GET_FROM_DISK_…` and `BROKER_GET_FROM_DISK_…` are names under which Java
//! 4.9 counts nothing either. Java counterparts: `BrokerStatsManager`, `StatsItem`, `StoreStatsService`, `BrokerStats`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferrocket_store::is_lmq;

use crate::topics::SCHEDULE_TOPIC;

/// Keys of one statistic; what comes later is not counted on its own.
const KEYS_MAX: usize = 100_000;
/// The group that takes messages out of the queues of delay levels. Java: `MixAll.SCHEDULE_CONSUMER_GROUP`.
const SCHEDULE_GROUP: &str = "SCHEDULE_CONSUMER";
/// Bytes of `%LMQ%`, which stands for all light queues.
const LMQ_LEN: usize = 5;
/// Seconds of the longest rate window.
const WINDOW_MAX: usize = 600;
/// Spans between two snapshots of an item, and how many snapshots are kept: a minute, an hour, a day.
const SPANS: [(i64, usize); 3] = [(10_000, 7), (600_000, 7), (3_600_000, 25)];
/// Between two looks at the items, Java's shortest span.
const LOOK_MS: i64 = SPANS[0].0;
/// Upper bounds (exclusive, ms) of the put times that `putMessageDistributeTime` tells apart.
const PUT_TIMES: [(u64, &str); 13] = [
    (1, "[<=0ms]"),
    (10, "[0~10ms]"),
    (50, "[10~50ms]"),
    (100, "[50~100ms]"),
    (200, "[100~200ms]"),
    (500, "[200~500ms]"),
    (1_000, "[500ms~1s]"),
    (2_000, "[1~2s]"),
    (3_000, "[2~3s]"),
    (4_000, "[3~4s]"),
    (5_000, "[4~5s]"),
    (10_000, "[5~10s]"),
    (u64::MAX, "[10s~]"),
];

/// A named statistic, as `VIEW_BROKER_STATS_DATA` asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistic {
    /// Messages stored, by topic.
    TopicPutNums,
    /// Bytes stored, by topic.
    TopicPutSize,
    /// Messages handed out, by `topic@group`.
    GroupGetNums,
    /// Bytes handed out, by `topic@group`.
    GroupGetSize,
    /// Messages sent back, by `topic@group`.
    SndbckPutNums,
    /// Milliseconds that pulls took that found messages, by `queue id@topic@group`; without `enableDetailStat` by
    /// `topic@group`.
    GroupGetLatency,
    /// Messages stored, by cluster.
    BrokerPutNums,
    /// Messages handed out, by cluster.
    BrokerGetNums,
    /// Messages that went to wait for their time, by `topic@queue id`: each level has a queue of its own. Java asks
    /// for these four of delay levels only.
    QueuePutNums,
    /// Bytes of them.
    QueuePutSize,
    /// Messages whose time came, by `topic@queue id@group`.
    QueueGetNums,
    /// Bytes of them.
    QueueGetSize,
}

impl Statistic {
    const ALL: [(Self, &'static str); 12] = [
        (Self::TopicPutNums, "TOPIC_PUT_NUMS"),
        (Self::TopicPutSize, "TOPIC_PUT_SIZE"),
        (Self::GroupGetNums, "GROUP_GET_NUMS"),
        (Self::GroupGetSize, "GROUP_GET_SIZE"),
        (Self::SndbckPutNums, "SNDBCK_PUT_NUMS"),
        (Self::GroupGetLatency, "GROUP_GET_LATENCY"),
        (Self::BrokerPutNums, "BROKER_PUT_NUMS"),
        (Self::BrokerGetNums, "BROKER_GET_NUMS"),
        (Self::QueuePutNums, "QUEUE_PUT_NUMS"),
        (Self::QueuePutSize, "QUEUE_PUT_SIZE"),
        (Self::QueueGetNums, "QUEUE_GET_NUMS"),
        (Self::QueueGetSize, "QUEUE_GET_SIZE"),
    ];

    /// The statistic of this name, `None` for names nobody counts under.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(statistic, _)| *statistic)
    }
}

/// What one key of a statistic did in one span. Java: `StatsSnapshot`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SpanSum {
    /// The sum of all values.
    pub(crate) sum: i64,
    /// The sum per second.
    pub(crate) tps: f64,
    /// The sum per addition.
    pub(crate) avgpt: f64,
}

/// Messages that were stored in a queue, by one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put<'a> {
    /// The topic, as stored.
    pub(crate) topic: &'a str,
    /// Its queue, as stored.
    pub(crate) queue_id: i32,
    /// How many.
    pub(crate) messages: u64,
    /// Bytes of their records.
    pub(crate) bytes: u64,
}

/// The broker's totals since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Messages stored.
    pub(crate) put_times: u64,
    /// Messages refused or failed.
    pub(crate) put_failed_times: u64,
    /// Bytes stored.
    pub(crate) put_size: u64,
    /// Pulls that found messages.
    pub(crate) get_found_times: u64,
    /// Pulls that found none.
    pub(crate) get_miss_times: u64,
    /// Messages handed out.
    pub(crate) transferred: u64,
}

/// Which rate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// Messages stored.
    Put,
    /// Pulls that found messages.
    GetFound,
    /// Pulls that found none.
    GetMiss,
    /// All pulls.
    GetTotal,
    /// Messages handed out.
    Transferred,
}

/// What the runtime table shows besides rates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    /// Totals up to now.
    pub(crate) now: Totals,
    /// Totals when today began.
    pub(crate) today_morning: Totals,
    /// Totals when yesterday began.
    pub(crate) yesterday_morning: Totals,
    /// When the broker started, ms since 1970.
    pub(crate) boot_ms: i64,
    /// The longest a put took, ms.
    pub(crate) put_time_max_ms: u64,
    /// The longest a pull took, ms.
    pub(crate) get_time_max_ms: u64,
    /// Put times of the last full minute, as `[range]:count ` entries.
    pub(crate) put_distribution: String,
    /// Put time that 99 % stayed below in the last full minute, ms.
    pub(crate) put_latency_99_ms: f64,
    /// The same for 99.9 %.
    pub(crate) put_latency_999_ms: f64,
}

/// All counters of a broker.
#[derive(Debug)]
pub(crate) struct Stats {
    cluster: String,
    /// `enableLmq`: light queues and their groups are counted as one.
    light: bool,
    /// `enableDetailStat`: some things are counted by queue.
    by_queue: bool,
    /// Counted on every send and pull; held for a few additions.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    boot_ms: i64,
    totals: Totals,
    /// One per second, the newest last, at most `WINDOW_MAX + 1`.
    samples: VecDeque<(i64, Totals)>,
    day: i64,
    today_morning: Totals,
    yesterday_morning: Totals,
    /// How many bytes pulls were behind the end of the log, by `queue id@topic@group`: what they saw last, since this
    /// was last asked for. Java: `GROUP_GET_FALL_SIZE`.
    behind: HashMap<String, i64>,
    /// By [`Statistic`], in the order of its variants.
    items: [HashMap<String, Item>; Statistic::ALL.len()],
    put_times: [u64; PUT_TIMES.len()],
    last_put_times: [u64; PUT_TIMES.len()],
    put_times_since_ms: i64,
    put_time_max_ms: u64,
    get_time_max_ms: u64,
    /// When the items are looked at next.
    look_ms: i64,
    /// Where `topic@group` is put together, so that counting allocates nothing.
    key: String,
}

/// One key of one statistic.
#[derive(Debug, Default)]
struct Item {
    value: i64,
    times: i64,
    /// `(at_ms, times, value)` for the minute, the hour and the day.
    snapshots: [VecDeque<(i64, i64, i64)>; SPANS.len()],
}

impl Item {
    fn snapshot(&mut self, now_ms: i64) {
        for ((span_ms, kept), snapshots) in SPANS.into_iter().zip(&mut self.snapshots) {
            match snapshots.back() {
                Some((last_ms, ..)) if (0..span_ms).contains(&(now_ms - last_ms)) => continue,
                Some(_) => {}
                None => {
                    // There may be very many items that never get more.
                    snapshots.reserve_exact(2);
                    snapshots.push_back((now_ms - span_ms, 0, 0));
                }
            }
            snapshots.push_back((now_ms, self.times, self.value));
            if snapshots.len() > kept {
                snapshots.pop_front();
            }
        }
    }

    fn sum(&self, span: usize) -> SpanSum {
        let snapshots = self.snapshots.get(span);
        let ends = snapshots.and_then(|snapshots| Some((snapshots.front()?, snapshots.back()?)));
        let Some((first, last)) = ends else { return SpanSum::default() };
        let (sum, times, took_ms) = (last.2 - first.2, last.1 - first.1, last.0 - first.0);
        SpanSum {
            sum,
            tps: if took_ms > 0 { sum as f64 * 1000.0 / took_ms as f64 } else { 0.0 },
            avgpt: if times > 0 { sum as f64 / times as f64 } else { 0.0 },
        }
    }
}

impl State {
    fn add(&mut self, statistic: Statistic, key: &str, value: i64, times: i64) {
        let Some(items) = self.items.get_mut(statistic as usize) else { return };
        let full = items.len() >= KEYS_MAX;
        match items.get_mut(key) {
            Some(item) => {
                item.value += value;
                item.times += times;
            }
            None if full => {}
            None => {
                items.insert(key.to_owned(), Item { value, times, ..Item::default() });
            }
        }
    }

    fn add_totals(&mut self, put: &Put<'_>) {
        self.totals.put_times += put.messages;
        self.totals.put_size += put.bytes;
    }

    fn add_topic(&mut self, put: &Put<'_>) {
        self.add(Statistic::TopicPutNums, put.topic, put.messages as i64, 1);
        self.add(Statistic::TopicPutSize, put.topic, put.bytes as i64, 1);
    }

    fn add_queue_put(&mut self, put: &Put<'_>) {
        let key = format!("{}@{}", put.topic, put.queue_id);
        self.add(Statistic::QueuePutNums, &key, put.messages as i64, 1);
        self.add(Statistic::QueuePutSize, &key, put.bytes as i64, 1);
    }

    fn add_topic_group(&mut self, statistic: Statistic, topic: &str, group: &str, value: i64) {
        self.add_of(statistic, None, topic, group, value);
    }

    fn add_of(&mut self, statistic: Statistic, queue_id: Option<i32>, topic: &str, group: &str, value: i64) {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        if let Some(queue_id) = queue_id {
            // Writing to a string cannot fail.
            let _ = write!(key, "{queue_id}@");
        }
        key.push_str(topic);
        key.push('@');
        key.push_str(group);
        self.add(statistic, &key, value, 1);
        self.key = key;
    }
}

impl Stats {
    /// Counters of a broker of this cluster that starts now; `day` is the number of the local day.
    pub(crate) fn new(cluster: &str, now_ms: i64, day: i64) -> Self {
        Self {
            cluster: cluster.to_owned(),
            light: false,
            by_queue: true,
            state: Mutex::new(State {
                boot_ms: now_ms,
                totals: Totals::default(),
                samples: VecDeque::from([(now_ms, Totals::default())]),
                day,
                today_morning: Totals::default(),
                yesterday_morning: Totals::default(),
                behind: HashMap::new(),
                items: Default::default(),
                put_times: [0; PUT_TIMES.len()],
                last_put_times: [0; PUT_TIMES.len()],
                put_times_since_ms: now_ms,
                put_time_max_ms: 0,
                get_time_max_ms: 0,
                look_ms: now_ms + LOOK_MS,
                key: String::new(),
            }),
        }
    }

    /// The same with `enableLmq`, or without.
    pub(crate) fn with_light(self, light: bool) -> Self {
        Self { light, ..self }
    }

    /// The same with `enableDetailStat`, or without.
    pub(crate) fn with_detail(self, by_queue: bool) -> Self {
        Self { by_queue, ..self }
    }

    /// What a topic or a group is counted as. Java: `LmqBrokerStatsManager`.
    fn counted<'a>(&self, name: &'a str) -> &'a str {
        if self.light && is_lmq(name) { name.get(..LMQ_LEN).unwrap_or(name) } else { name }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters stay counters if a thread panicked between two additions.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages were stored, by one request.
    pub(crate) fn put(&self, put: &Put<'_>) {
        let mut state = self.lock();
        state.add_totals(put);
        state.add_topic(put);
        if put.topic == SCHEDULE_TOPIC && self.by_queue {
            state.add_queue_put(put);
        }
        // As in Java without a number of additions, and so without an average.
        state.add(Statistic::BrokerPutNums, &self.cluster, put.messages as i64, 0);
    }

    /// Messages that waited in the queue of a delay level were stored where they belong. Without
    /// `enableScheduleMessageStats` that is only counted in all.
    pub(crate) fn delivered(&self, level_queue: i32, put: &Put<'_>, by_name: bool) {
        let mut state = self.lock();
        state.add_totals(put);
        if !by_name {
            return;
        }
        let (messages, bytes) = (put.messages as i64, put.bytes as i64);
        if self.by_queue {
            let key = format!("{SCHEDULE_TOPIC}@{level_queue}@{SCHEDULE_GROUP}");
            state.add(Statistic::QueueGetNums, &key, messages, 1);
            state.add(Statistic::QueueGetSize, &key, bytes, 1);
        }
        state.add_topic_group(Statistic::GroupGetNums, SCHEDULE_TOPIC, SCHEDULE_GROUP, messages);
        state.add_topic_group(Statistic::GroupGetSize, SCHEDULE_TOPIC, SCHEDULE_GROUP, bytes);
        state.add_topic(put);
        state.add(Statistic::BrokerPutNums, &self.cluster, messages, 0);
    }

    /// A message was refused by the store.
    pub(crate) fn put_failed(&self) {
        self.lock().totals.put_failed_times += 1;
    }

    /// A put took this long from its append to its answer.
    pub(crate) fn put_took(&self, took_ms: u64) {
        let mut state = self.lock();
        state.put_time_max_ms = state.put_time_max_ms.max(took_ms);
        let at = PUT_TIMES.iter().position(|(bound, _)| took_ms < *bound).unwrap_or(PUT_TIMES.len() - 1);
        if let Some(count) = state.put_times.get_mut(at) {
            *count += 1;
        }
    }

    /// A pull of `group` got `messages` of a queue with `bytes` in all, which took this long.
    pub(crate) fn got(
        &self,
        group: &str,
        (topic, queue_id): (&str, i32),
        messages: u64,
        bytes: u64,
        took_ms: u64,
    ) {
        let (group, topic) = (self.counted(group), self.counted(topic));
        let mut state = self.lock();
        state.get_time_max_ms = state.get_time_max_ms.max(took_ms);
        state.totals.get_found_times += 1;
        state.totals.transferred += messages;
        state.add_topic_group(Statistic::GroupGetNums, topic, group, messages as i64);
        state.add_topic_group(Statistic::GroupGetSize, topic, group, bytes as i64);
        let took_ms = i64::try_from(took_ms).unwrap_or(i64::MAX);
        let queue_id = self.by_queue.then_some(queue_id);
        state.add_of(Statistic::GroupGetLatency, queue_id, topic, group, took_ms);
        state.add(Statistic::BrokerGetNums, &self.cluster, messages as i64, 0);
    }

    /// A pull found nothing, which took this long.
    pub(crate) fn get_missed(&self, took_ms: u64) {
        let mut state = self.lock();
        state.get_time_max_ms = state.get_time_max_ms.max(took_ms);
        state.totals.get_miss_times += 1;
    }

    /// A pull of `group` looked at messages of a queue that lie so many bytes before the end of the log.
    pub(crate) fn behind(&self, group: &str, (topic, queue_id): (&str, i32), bytes: i64) {
        let mut state = self.lock();
        let key = format!("{queue_id}@{topic}@{group}");
        if state.behind.len() < KEYS_MAX || state.behind.contains_key(&key) {
            state.behind.insert(key, bytes);
        }
    }

    /// The groups that were further behind than this in some queue when they last pulled from it, and how far. Forgets
    /// all of it: a group is judged by what it did since.
    pub(crate) fn take_behind(&self, bytes_max: i64) -> BTreeMap<String, i64> {
        let behind = std::mem::take(&mut self.lock().behind);
        let far = behind.into_iter().filter(|(_, bytes)| *bytes > bytes_max);
        far.filter_map(|(key, bytes)| Some((key.rsplit_once('@')?.1.to_owned(), bytes))).collect()
    }

    /// A message of `topic` was sent back by `group` and stored. By its new topic it is counted only if it waits for
    /// its time, as in Java.
    pub(crate) fn sent_back(&self, group: &str, topic: &str, put: &Put<'_>) {
        let (group, topic) = (self.counted(group), self.counted(topic));
        let mut state = self.lock();
        state.add_totals(put);
        if put.topic == SCHEDULE_TOPIC {
            state.add_topic(put);
            if self.by_queue {
                state.add_queue_put(put);
            }
        }
        state.add_topic_group(Statistic::SndbckPutNums, topic, group, 1);
    }

    /// Takes the samples that are due. To be called about once a second; `day` is the number of the local day.
    pub(crate) fn tick(&self, now_ms: i64, day: i64) {
        let mut state = self.lock();
        let totals = state.totals;
        state.samples.push_back((now_ms, totals));
        while state.samples.len() > WINDOW_MAX + 1 {
            state.samples.pop_front();
        }
        // There may be very many, so not every second. A clock that was set back must not stop this.
        if now_ms >= state.look_ms || now_ms < state.look_ms - LOOK_MS {
            state.look_ms = now_ms + LOOK_MS;
            for item in state.items.iter_mut().flat_map(HashMap::values_mut) {
                item.snapshot(now_ms);
            }
        }
        if now_ms - state.put_times_since_ms >= 60_000 {
            state.put_times_since_ms = now_ms;
            state.last_put_times = std::mem::replace(&mut state.put_times, [0; PUT_TIMES.len()]);
        }
        if state.day != day {
            state.day = day;
            state.yesterday_morning = std::mem::replace(&mut state.today_morning, totals);
        }
    }

    /// The rate over the last 10, 60 and 600 seconds, blanks between, as Java's tools split it. Over the time
    /// since the start while that is shorter.
    pub(crate) fn rates(&self, rate: Rate) -> String {
        let state = self.lock();
        let of = |totals: &Totals| match rate {
            Rate::Put => totals.put_times,
            Rate::GetFound => totals.get_found_times,
            Rate::GetMiss => totals.get_miss_times,
            Rate::GetTotal => totals.get_found_times + totals.get_miss_times,
            Rate::Transferred => totals.transferred,
        };
        let mut text = String::new();
        for seconds in [10, 60, WINDOW_MAX] {
            let before = state.samples.len().saturating_sub(seconds + 1);
            let tps = match (state.samples.get(before), state.samples.back()) {
                (Some((from_ms, from)), Some((to_ms, to))) if to_ms > from_ms => {
                    (of(to) - of(from)) as f64 * 1000.0 / (to_ms - from_ms) as f64
                }
                _ => 0.0,
            };
            // Debug writes a float as Java's Double.toString does: always with a fraction. Strings take all.
            let _ = write!(text, "{}{tps:?}", if text.is_empty() { "" } else { " " });
        }
        text
    }

    /// Everything else the runtime table shows.
    pub(crate) fn summary(&self) -> Summary {
        let state = self.lock();
        let mut put_distribution = String::new();
        for ((_, range), count) in PUT_TIMES.iter().zip(state.last_put_times) {
            // Writing to a string cannot fail.
            let _ = write!(put_distribution, "{range}:{count} ");
        }
        Summary {
            now: state.totals,
            today_morning: state.today_morning,
            yesterday_morning: state.yesterday_morning,
            boot_ms: state.boot_ms,
            put_time_max_ms: state.put_time_max_ms,
            get_time_max_ms: state.get_time_max_ms,
            put_distribution,
            put_latency_99_ms: quantile(&state.last_put_times, 0.99),
            put_latency_999_ms: quantile(&state.last_put_times, 0.999),
        }
    }

    /// What this key of a statistic did in the last minute, hour and day; `None` if it never counted.
    pub(crate) fn item(&self, statistic: Statistic, key: &str) -> Option<[SpanSum; 3]> {
        let state = self.lock();
        let item = state.items.get(statistic as usize)?.get(key)?;
        Some([item.sum(0), item.sum(1), item.sum(2)])
    }

    /// Messages of `topic` that `group` got per second in the last minute.
    pub(crate) fn group_get_tps(&self, group: &str, topic: &str) -> f64 {
        self.item(Statistic::GroupGetNums, &format!("{topic}@{group}")).map_or(0.0, |[minute, ..]| minute.tps)
    }

    /// Forgets a deleted topic.
    pub(crate) fn topic_deleted(&self, topic: &str) {
        let mut state = self.lock();
        for (items, (statistic, _)) in state.items.iter_mut().zip(Statistic::ALL) {
            let at = usize::from(statistic == Statistic::GroupGetLatency && self.by_queue);
            items.retain(|key, _| key.split('@').nth(at) != Some(topic));
        }
    }

    /// Forgets a deleted consumer group.
    pub(crate) fn group_deleted(&self, group: &str) {
        let mut state = self.lock();
        for (items, (statistic, _)) in state.items.iter_mut().zip(Statistic::ALL) {
            // These end with a queue's number.
            if !matches!(statistic, Statistic::QueuePutNums | Statistic::QueuePutSize) {
                items.retain(|key, _| key.rsplit_once('@').is_none_or(|(_, of)| of != group));
            }
        }
    }
}

/// Ms that this share of the counted put times stayed below, interpolated within its range.
fn quantile(counts: &[u64; PUT_TIMES.len()], share: f64) -> f64 {
    let wanted = counts.iter().sum::<u64>() as f64 * share;
    let mut passed = 0.0;
    let mut lower = 0;
    for ((upper, _), count) in PUT_TIMES.iter().zip(counts) {
        let count = *count as f64;
        if count > 0.0 && wanted <= passed + count {
            let width = if *upper == u64::MAX { 0 } else { upper - lower };
            return lower as f64 + width as f64 * (wanted - passed) / count;
        }
        passed += count;
        lower = *upper;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored in queue 0 of topic `t`.
    fn put(messages: u64, bytes: u64) -> Put<'static> {
        Put { topic: "t", queue_id: 0, messages, bytes }
    }

    /// Rates are over 10, 60 and 600 seconds and never blank, which old tools cannot split.
    #[test]
    fn rates_slide() {
        let stats = Stats::new("c", 0, 0);
        assert_eq!(stats.rates(Rate::Put), "0.0 0.0 0.0");
        for second in 1..=20 {
            stats.put(&put(10, 1000));
            stats.tick(second * 1000, 0);
        }
        assert_eq!(stats.rates(Rate::Put), "10.0 10.0 10.0");
        for second in 21..=30 {
            stats.tick(second * 1000, 0);
        }
        assert!(stats.rates(Rate::Put).starts_with("0.0 6.66"));
        stats.got("g", ("t", 0), 5, 50, 1);
        stats.get_missed(1);
        stats.tick(31_000, 0);
        assert!(stats.rates(Rate::GetTotal).starts_with("0.2 "));
        assert!(stats.rates(Rate::Transferred).starts_with("0.5 "));
    }

    /// A statistic counts so many keys, and no further one; those that are there go on, and other statistics have
    /// room of their own.
    #[test]
    fn keys_have_a_limit() {
        let stats = Stats::new("c", 0, 0);
        for topic in 0..KEYS_MAX {
            stats.sent_back("g", &format!("t{topic}"), &put(1, 1));
        }
        stats.sent_back("g", "t", &put(1, 1));
        stats.sent_back("g", "t7", &put(1, 1));
        stats.got("g", ("t", 0), 1, 1, 1);
        let state = stats.lock();
        let sent_back = &state.items[Statistic::SndbckPutNums as usize];
        assert_eq!(
            (sent_back.len(), sent_back.contains_key("t@g"), sent_back["t7@g"].value),
            (KEYS_MAX, false, 2)
        );
        assert!(state.items[Statistic::GroupGetNums as usize].contains_key("t@g"));
    }

    /// A statistic shows sums for minute, hour and day, is unknown before its first value, and goes with its
    /// topic or group.
    #[test]
    fn named_statistics() {
        let stats = Stats::new("c", 0, 0);
        assert_eq!(Statistic::from_name("TOPIC_PUT_NUMS"), Some(Statistic::TopicPutNums));
        assert_eq!(Statistic::from_name("COMMERCIAL_SEND_TIMES"), None);
        assert_eq!(stats.item(Statistic::TopicPutNums, "t"), None);
        stats.put(&put(30, 300));
        stats.tick(10_000, 0);
        let [minute, hour, day] = stats.item(Statistic::TopicPutNums, "t").unwrap();
        assert_eq!(minute, SpanSum { sum: 30, tps: 3.0, avgpt: 30.0 });
        assert_eq!((hour.sum, day.sum), (30, 30));
        stats.got("g", ("t", 3), 20, 1, 4);
        stats.got("g", ("t2", 0), 20, 1, 0);
        stats.tick(19_000, 0);
        assert_eq!(stats.group_get_tps("g", "t"), 0.0, "not before the span is over");
        stats.tick(20_000, 0);
        let latency = |key| stats.item(Statistic::GroupGetLatency, key).map(|[minute, ..]| minute.avgpt);
        assert_eq!(latency("3@t@g"), Some(4.0));
        assert_eq!(latency("t@g"), None);
        assert_eq!(stats.group_get_tps("g", "t"), 2.0);
        stats.topic_deleted("t");
        assert_eq!(stats.item(Statistic::TopicPutNums, "t"), None);
        assert_eq!(stats.group_get_tps("g", "t"), 0.0);
        assert_eq!(stats.group_get_tps("g", "t2"), 2.0);
        assert_eq!((latency("3@t@g"), latency("0@t2@g")), (None, Some(0.0)));
        stats.group_deleted("g");
        assert_eq!(latency("0@t2@g"), None);
        assert_eq!(stats.item(Statistic::GroupGetNums, "t2@g"), None);
        let of_broker = stats.item(Statistic::BrokerPutNums, "c").map(|[minute, ..]| minute);
        assert_eq!(of_broker.map(|minute| (minute.sum, minute.avgpt)), Some((30, 0.0)));
    }

    /// What waits for its time is counted by level, when it comes and when it goes, and so is what is sent back with a
    /// delay; each can be switched off as in Java.
    #[test]
    fn delayed_messages() {
        let waiting = Put { topic: SCHEDULE_TOPIC, queue_id: 2, messages: 1, bytes: 100 };
        let sum = |stats: &Stats, statistic, key| {
            stats.tick(10_000, 0);
            stats.item(statistic, key).map(|[minute, ..]| minute.sum)
        };
        let stats = Stats::new("c", 0, 0);
        stats.put(&waiting);
        stats.sent_back("g", "t", &waiting);
        stats.sent_back("g", "t", &Put { topic: "%DLQ%g", ..waiting });
        stats.delivered(2, &put(1, 90), true);
        stats.delivered(2, &put(1, 90), false);
        let (into, out) = ("SCHEDULE_TOPIC_XXXX@2", "SCHEDULE_TOPIC_XXXX@2@SCHEDULE_CONSUMER");
        for (statistic, key, expected) in [
            (Statistic::QueuePutNums, into, Some(2)),
            (Statistic::QueuePutSize, into, Some(200)),
            (Statistic::QueueGetNums, out, Some(1)),
            (Statistic::QueueGetSize, out, Some(90)),
            (Statistic::TopicPutNums, SCHEDULE_TOPIC, Some(2)),
            (Statistic::TopicPutNums, "%DLQ%g", None),
            (Statistic::TopicPutNums, "t", Some(1)),
            (Statistic::GroupGetNums, "SCHEDULE_TOPIC_XXXX@SCHEDULE_CONSUMER", Some(1)),
            (Statistic::SndbckPutNums, "t@g", Some(2)),
            (Statistic::BrokerPutNums, "c", Some(2)),
        ] {
            assert_eq!(sum(&stats, statistic, key), expected, "{statistic:?} {key}");
        }
        assert_eq!(stats.summary().now.put_times, 5);
        stats.group_deleted("2");
        assert_eq!(sum(&stats, Statistic::QueuePutNums, into), Some(2));
        let stats = Stats::new("c", 0, 0).with_detail(false);
        stats.put(&waiting);
        stats.delivered(2, &put(1, 90), true);
        stats.got("g", ("t", 3), 1, 1, 4);
        assert_eq!(sum(&stats, Statistic::QueuePutNums, into), None);
        assert_eq!(sum(&stats, Statistic::QueueGetNums, out), None);
        assert_eq!(sum(&stats, Statistic::GroupGetLatency, "t@g"), Some(4));
        stats.topic_deleted("t");
        assert_eq!(sum(&stats, Statistic::GroupGetLatency, "t@g"), None);
    }

    /// A group is slow by what it saw last in a queue, and by nothing that it did before the last look.
    #[test]
    fn slow_groups() {
        let stats = Stats::new("c", 0, 0);
        for (group, queue_id, bytes) in [("slow", 0, 101), ("slow", 1, 0), ("fast", 0, 500), ("fast", 0, 100)]
        {
            stats.behind(group, ("t", queue_id), bytes);
        }
        assert_eq!(stats.take_behind(100), BTreeMap::from([("slow".to_owned(), 101)]));
        assert_eq!(stats.take_behind(0), BTreeMap::new());
        // So many are watched, and no further one.
        for number in 0..=KEYS_MAX {
            stats.behind(&format!("g{number}"), ("t", 0), 101);
        }
        let slow = stats.take_behind(100);
        assert_eq!((slow.len(), slow.contains_key(&format!("g{KEYS_MAX}"))), (KEYS_MAX, false));
    }

    /// A clock that steps back by years or forward by days stops no statistic.
    #[test]
    fn statistics_go_on_when_the_clock_steps() {
        let stats = Stats::new("c", 1_000_000_000, 0);
        stats.put(&put(1, 1));
        stats.tick(1_000_010_000, 0);
        let minute = || stats.item(Statistic::TopicPutNums, "t").unwrap()[0];
        assert_eq!(minute().sum, 1);
        for now_ms in [5_000, 15_000, 25_000, 35_000, 45_000, 55_000, 65_000, 75_000] {
            stats.put(&put(10, 1));
            stats.tick(now_ms, 0);
        }
        assert_eq!(minute(), SpanSum { sum: 60, tps: 1.0, avgpt: 10.0 });
        stats.put(&put(10, 1));
        stats.tick(900_000_000, 0);
        assert_eq!(minute().sum, 60);
    }

    /// Totals of the mornings move when the local day changes; put times are shown for the last full minute.
    #[test]
    fn days_and_put_times() {
        let stats = Stats::new("c", 0, 7);
        stats.put(&put(3, 1));
        for took_ms in [0, 5, 5, 20_000] {
            stats.put_took(took_ms);
        }
        assert!(stats.summary().put_distribution.starts_with("[<=0ms]:0 "));
        stats.tick(60_000, 8);
        stats.put(&put(4, 1));
        let summary = stats.summary();
        assert_eq!((summary.today_morning.put_times, summary.now.put_times), (3, 7));
        assert!(summary.put_distribution.starts_with("[<=0ms]:1 [0~10ms]:2 "));
        assert!(summary.put_distribution.ends_with("[10s~]:1 "));
        assert_eq!(summary.put_time_max_ms, 20_000);
        assert_eq!(summary.put_latency_99_ms, 10_000.0);
        stats.tick(61_000, 9);
        assert_eq!(stats.summary().yesterday_morning.put_times, 3);
    }
}
