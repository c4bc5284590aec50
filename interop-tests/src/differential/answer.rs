//! An answer as four texts that two servers can have in common: code, remark, fields, body.
//!
//! Addresses, offset ids, times and data versions are replaced, JSON is brought into one order, messages are
//! written out without their place in the log.

use std::collections::BTreeMap;
use std::fmt;

use ferrocket_protocol::body::register::KVTable;
use ferrocket_protocol::{RecordView, RemotingCommand, RequestCode, fastjson};
use serde_json::Value;

use super::cases::Case;
use crate::wire::Outcome;

/// A comparable answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The response code, or why there is none.
    pub code: String,
    /// The remark, `-` for none.
    pub remark: String,
    /// `name=value` of each field, in order of the names.
    pub fields: String,
    /// The body.
    pub body: String,
}

/// The parts of an answer by name.
pub const PARTS: [&str; 4] = ["code", "remark", "fields", "body"];

impl Answer {
    /// What became of a case's request.
    pub fn of(case: &Case, outcome: &Outcome) -> Self {
        let answer = match outcome {
            Outcome::Answered(answer) => answer,
            Outcome::Silence => return Self { code: "no answer".into(), ..Self::default() },
            Outcome::Closed => return Self { code: "closed".into(), ..Self::default() },
        };
        let remark = answer.remark.as_deref().unwrap_or("-");
        Self {
            code: answer.code.to_string(),
            remark: mask(remark),
            fields: fields(answer, case.loose),
            body: body(case.request, &answer.body),
        }
    }

    /// What a server asked its client, one line each, in order of the texts: several go their own ways.
    pub fn of_pushes(pushes: &[RemotingCommand]) -> Self {
        let mut lines: Vec<String> = pushes
            .iter()
            .map(|push| {
                let request = push.request_code().unwrap_or(RequestCode::HeartBeat);
                format!("{request} {} {}", fields(push, false), body(request, &push.body))
            })
            .collect();
        lines.sort();
        lines.dedup();
        Self { code: "-".into(), remark: "-".into(), fields: String::new(), body: lines.join("\n") }
    }

    /// A part by its name.
    pub fn part(&self, name: &str) -> &str {
        match name {
            "code" => &self.code,
            "remark" => &self.remark,
            "fields" => &self.fields,
            _ => &self.body,
        }
    }

    /// The names of the parts in which an answer to `request` differs from `java`'s.
    ///
    /// Where Java refuses with an exception's text, any words will do: they are no text that a peer reads. Of
    /// settings, those that both have are compared, but for addresses and paths.
    pub fn differs(&self, java: &Self, request: &str) -> Vec<&'static str> {
        let refused = self.code == "1" && java.code == "1" && java.is_exception();
        let same = |part: &str| match (part, request) {
            ("remark", _) if refused => true,
            ("body", "26" | "319") => same_settings(&self.body, &java.body),
            _ => self.part(part) == java.part(part),
        };
        PARTS.into_iter().filter(|part| !same(part)).collect()
    }

    /// Whether the remark is an exception's.
    fn is_exception(&self) -> bool {
        let class = self.remark.split([':', ',']).next().unwrap_or_default();
        class.contains('.') && ["Exception", "Error"].iter().any(|end| class.ends_with(end))
            || self.remark.starts_with("Cannot invoke ")
    }
}

/// The long parts cut, with `{:#}` whole.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if f.alternate() { usize::MAX } else { 600 };
        let short = |text: &str| -> String { text.chars().take(most).collect() };
        write!(f, "{} | {} | {} | {}", self.code, short(&self.remark), short(&self.fields), short(&self.body))
    }
}

/// The message id of a send's answer.
pub fn kept(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Answered(answer) => answer.ext_fields.get("msgId").map(|id| id.to_string()),
        _ => None,
    }
}

/// `loose`: a send's queue and offset are not comparable.
fn fields(answer: &RemotingCommand, loose: bool) -> String {
    let mut fields: Vec<String> = answer
        .ext_fields
        .iter()
        .map(|(name, value)| match (&**name, value.parse::<i64>()) {
            // A place in the log; whether there is one is worth comparing.
            ("indexLastUpdatePhyoffset" | "commitLogOffset", Ok(1..)) => format!("{name}=<offset>"),
            ("queueId" | "queueOffset", Ok(_)) if loose => format!("{name}=<number>"),
            ("version", _) if value.starts_with('{') => format!("{name}=<version>"),
            _ => format!("{name}={}", mask(value)),
        })
        .collect();
    fields.sort();
    fields.join(" ")
}

fn body(request: RequestCode, body: &[u8]) -> String {
    use RequestCode::*;
    match request {
        PullMessage | QueryMessage | ViewMessageById | LitePullMessage | ConsumeMessageDirectly => {
            records(body).unwrap_or_else(|| text(body))
        }
        GetAllTopicConfig | GetAllTopicListFromNameserver | GetTopicsByCluster => topics(body),
        GetBrokerRuntimeInfo => fastjson::from_slice::<KVTable>(body).map_or_else(|_| text(body), names),
        _ => text(body),
    }
}

/// A list or table of topics without the one that Java makes when it first looks for open transactions, at a time of
/// its own; ours makes it with the first transaction.
fn topics(body: &[u8]) -> String {
    const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
    let Ok(mut value) = fastjson::from_slice::<Value>(body) else { return text(body) };
    for part in value.as_object_mut().into_iter().flat_map(|parts| parts.values_mut()) {
        match part {
            Value::Array(names) => names.retain(|name| name != HALF_TOPIC),
            Value::Object(table) => drop(table.remove(HALF_TOPIC)),
            _ => {}
        }
    }
    json(&value)
}

/// The names of a broker's runtime information; its numbers are of the machine and the moment.
fn names(info: KVTable) -> String {
    // 5.3.3's spelling of a name that ours says in both.
    let names = info.table.into_keys().filter(|name| name != "getTransferredTps");
    let without_path = |name: String| match name.split_once("_/") {
        Some((name, _)) => format!("{name}_<path>"),
        None => name,
    };
    names.map(without_path).collect::<Vec<_>>().join("\n")
}

/// Whether the settings that two texts of `name=value` share have the same values.
fn same_settings(ours: &str, java: &str) -> bool {
    let read = |text: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let own = |name: &str| {
            let name = name.to_lowercase();
            ["path", "home", "ip2", "port"].iter().any(|part| name.contains(part))
        };
        lines
            .filter(|(name, _)| !own(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let (ours, java) = (read(ours), read(java));
    let shared: Vec<_> = ours.iter().filter(|(name, _)| java.contains_key(*name)).collect();
    !shared.is_empty() && shared.iter().all(|(name, value)| java.get(*name) == Some(*value))
}

fn records(mut body: &[u8]) -> Option<String> {
    let mut lines = Vec::new();
    while !body.is_empty() {
        let record = RecordView::parse(body).ok()?;
        let mut properties: Vec<&str> = record.properties.split_terminator('\u{2}').collect();
        properties.sort_unstable();
        lines.push(format!(
            "{} {} {} flag={} sysFlag={} reconsume={} half={} [{}] {}",
            record.topic,
            record.queue_id,
            record.queue_offset,
            record.flag,
            record.sys_flag,
            record.reconsume_times,
            record.prepared_transaction_offset,
            mask(&properties.join(" ").replace('\u{1}', "=")),
            String::from_utf8_lossy(record.body)
        ));
        body = body.get(record.total_size..)?;
    }
    Some(lines.join("\n"))
}

fn text(body: &[u8]) -> String {
    match fastjson::from_slice::<Value>(body) {
        Ok(value) => json(&value),
        Err(_) => mask(&String::from_utf8_lossy(body)),
    }
}

fn json(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    mask(&out)
}

/// JSON with sorted names and arrays, without numbers of data versions, of passing time and of rates.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<(String, &Value)> =
                entries.iter().map(|(name, value)| (one_line(name), value)).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (name, value) in entries {
                // Java's getters repeat some times in words.
                if name.ends_with("TimeStampStr") {
                    continue;
                }
                out.push_str(&name);
                out.push(':');
                match &*name {
                    "counter" | "stateVersion" | "delayTime" | "sum" | "tps" | "avgpt" | "consumeTps" => {
                        out.push_str("<number>")
                    }
                    _ => write(value, out),
                }
                out.push(' ');
            }
            out.push('}');
        }
        Value::Array(items) => {
            let mut items: Vec<String> = items
                .iter()
                .map(|item| {
                    let mut text = String::new();
                    write(item, &mut text);
                    text
                })
                .collect();
            items.sort();
            out.push('[');
            out.push_str(&items.join(" "));
            out.push(']');
        }
        // A text may be JSON of its own, such as a consume queue's entry.
        other => out.push_str(&other.to_string()),
    }
}

/// A name of a map whose keys are objects: their fields in order.
fn one_line(name: &str) -> String {
    match fastjson::from_slice::<Value>(name.as_bytes()) {
        Ok(value @ Value::Object(_)) => {
            let mut text = String::new();
            write(&value, &mut text);
            text
        }
        _ => name.to_owned(),
    }
}

/// Replaces addresses with a port, offset message ids and milliseconds of this time.
fn mask(text: &str) -> String {
    let mut out = String::new();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ':';
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = rest.find(|c| word(c) != word(first)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(len);
        if word(first) {
            mask_word(part, &mut out)
        } else {
            out.push_str(part)
        }
        rest = after;
    }
    out
}

fn mask_word(word: &str, out: &mut String) {
    let is_id =
        |part: &str| part.len() == 32 && part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let is_time = |part: &str| part.len() == 13 && part.starts_with('1') && part.parse::<i64>().is_ok();
    let parts: Vec<&str> = word.split(':').collect();
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        if at > 0 {
            out.push(':');
        }
        let dotted = part.split('.').count() == 4 && part.split('.').all(|n| n.parse::<u8>().is_ok());
        let port = parts.get(at + 1).is_some_and(|port| port.parse::<u16>().is_ok());
        if dotted && port {
            out.push_str("<address>");
            at += 1;
        } else if is_id(part) {
            out.push_str("<id>");
        } else if is_time(part) {
            out.push_str("<time>");
        } else {
            out.push_str(part);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::mask;

    /// What is replaced, and what is not.
    #[test]
    fn masks_what_servers_cannot_share() {
        assert_eq!(mask("from /127.0.0.1:10911, at 1700000000000"), "from /<address>, at <time>");
        assert_eq!(mask("7F00000100002A9F0000000000000000,x"), "<id>,x");
        assert_eq!(mask("{a:127.0.0.1:1 b:12}"), "{a:<address> b:12}");
        assert_eq!(mask("no match by the offset, 13: 4.9.7"), "no match by the offset, 13: 4.9.7");
    }
}
