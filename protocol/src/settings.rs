//! Settings of a process: a table of rows, and values that obey it.
//!
//! Each process has one table of [`Setting`]s; parser, typed getters, runtime updates, the print forms of
//! Java's `-p` and `-m` and the docs come from it. Keys are those of `broker.conf`. Keys that only mean
//! something to Java (thread pools, Netty's buffers) are accepted and reported; unknown keys too, with the
//! nearest key that is known. Java counterparts: `Configuration`, `MixAll.properties2Object`, which ignore
//! whatever they cannot read.
//!
//! Left out: files. Whoever owns the settings reads and writes the text.

use std::fmt;
use std::time::Duration;

mod java_only;
mod properties;

pub use java_only::JAVA_ONLY_KEYS;
pub use properties::{TEXT_LEN_MAX, parse as parse_properties, replace_values};

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number from `min` to `max`.
    Int {
        /// The smallest.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// `true` or `false`.
    Bool,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, exactly as in Java's files.
    pub key: &'static str,
    /// What a value may be.
    pub kind: Kind,
    /// The value when nothing is set.
    pub default: &'static str,
    /// Whether a runtime update may change it. What is not hot needs a restart.
    pub hot: bool,
    /// Whether `-m` prints it.
    pub important: bool,
    /// Whether it is shown to nobody.
    pub secret: bool,
    /// What it does, in one sentence.
    pub doc: &'static str,
}

impl Setting {
    const fn new(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Self {
        Self { key, kind, default, hot: false, important: false, secret: false, doc }
    }

    /// A row for a text.
    pub const fn text(key: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self::new(key, Kind::Text, default, doc)
    }

    /// A row for a whole number from `min` to `max`.
    pub const fn int(
        key: &'static str,
        default: &'static str,
        min: i64,
        max: i64,
        doc: &'static str,
    ) -> Self {
        Self::new(key, Kind::Int { min, max }, default, doc)
    }

    /// A row for a switch.
    pub const fn boolean(key: &'static str, default: bool, doc: &'static str) -> Self {
        Self::new(key, Kind::Bool, if default { "true" } else { "false" }, doc)
    }

    /// A row for one of some words.
    pub const fn one_of(
        key: &'static str,
        default: &'static str,
        words: &'static [&'static str],
        doc: &'static str,
    ) -> Self {
        Self::new(key, Kind::OneOf(words), default, doc)
    }

    /// The same row, open to runtime updates.
    pub const fn hot(mut self) -> Self {
        self.hot = true;
        self
    }

    /// The same row, printed by `-m`.
    pub const fn important(mut self) -> Self {
        self.important = true;
        self
    }

    /// The same row, whose value [`Settings::shown`] hides.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The value as it is kept: trimmed, words in the table's spelling.
    ///
    /// # Errors
    /// [`SettingError::Value`].
    pub fn accept(&self, value: &str) -> Result<String, SettingError> {
        let value = value.trim();
        let accepted = match self.kind {
            Kind::Text => Some(value.to_owned()),
            Kind::Int { min, max } => {
                let number = value.parse::<i64>().ok().filter(|number| (min..=max).contains(number));
                number.map(|number| number.to_string())
            }
            Kind::Bool => {
                ["true", "false"].into_iter().find(|word| word.eq_ignore_ascii_case(value)).map(str::to_owned)
            }
            Kind::OneOf(words) => {
                words.iter().find(|word| word.eq_ignore_ascii_case(value)).map(|word| word.to_string())
            }
        };
        accepted.ok_or_else(|| SettingError::value(self.key, value, self.kind.to_string()))
    }
}

/// One table of the rows of several; `LEN` is the sum of their lengths.
pub const fn joined<const LEN: usize>(tables: &[&[Setting]]) -> [Setting; LEN] {
    let mut rows = [Setting::text("", "", ""); LEN];
    let (mut table, mut row, mut at) = (0, 0, 0);
    while table < tables.len() {
        if row < tables[table].len() {
            rows[at] = tables[table][row];
            (row, at) = (row + 1, at + 1);
        } else {
            (table, row) = (table + 1, 0);
        }
    }
    assert!(at == LEN);
    rows
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Int { min, max: i64::MAX } => write!(f, "a number from {min} up"),
            Self::Int { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Bool => f.write_str("true or false"),
            Self::OneOf(words) => f.write_str(&words.join(" or ")),
        }
    }
}

/// Why a setting cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// The table has no such key.
    Unknown {
        /// The key.
        key: String,
        /// The most similar key of the table.
        nearest: Option<&'static str>,
    },
    /// The value is not what the row allows.
    Value {
        /// The key.
        key: &'static str,
        /// The refused value, its first 128 characters.
        value: String,
        /// What is allowed, in words.
        allowed: String,
    },
    /// The key cannot be changed while the process runs.
    NotHot {
        /// The key.
        key: &'static str,
    },
    /// The text breaks the syntax of properties files, or is too long.
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
}

impl SettingError {
    /// That no row has this key.
    pub fn unknown(key: &str, rows: impl IntoIterator<Item = &'static Setting>) -> Self {
        let nearest = nearest(rows.into_iter().map(|row| row.key), key);
        Self::Unknown { key: key.chars().take(256).collect(), nearest }
    }

    /// That a row does not allow this value; `allowed` says what it does allow, in words.
    pub fn value(key: &'static str, value: &str, allowed: String) -> Self {
        Self::Value { key, value: value.chars().take(128).collect(), allowed }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, nearest } => write_unknown(f, key, *nearest),
            Self::Value { key, value, allowed } => {
                write!(f, "{key}={value:?} is refused, allowed is {allowed}")
            }
            Self::NotHot { key } => write!(f, "{key} cannot be changed while the process runs"),
            Self::Syntax { line, fault } => write!(f, "line {line}: {fault}"),
        }
    }
}

impl std::error::Error for SettingError {}

fn write_unknown(f: &mut fmt::Formatter<'_>, key: &str, nearest: Option<&str>) -> fmt::Result {
    let shown: String = key.chars().take(64).collect();
    match nearest {
        Some(nearest) => write!(f, "unknown setting {shown}, did you mean {nearest}?"),
        None => write!(f, "unknown setting {shown}"),
    }
}

/// A line of a settings file that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The key means nothing here.
    Unknown {
        /// The key.
        key: String,
        /// The most similar key of the table.
        nearest: Option<&'static str>,
    },
    /// The key tunes Java's threads or Netty's buffers.
    JavaOnly {
        /// The key.
        key: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, nearest } => write_unknown(f, key, *nearest),
            Self::JavaOnly { key } => {
                write!(f, "{key} has no meaning here: it tunes the Java implementation")
            }
        }
    }
}

/// The values of a table's settings, as texts. Getters search the table: take values out once, not per request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    table: &'static [Setting],
    /// In the table's order.
    values: Vec<String>,
}

impl Settings {
    /// The defaults of a table.
    ///
    /// # Panics
    /// If a default breaks its own row's rule, or a key occurs twice.
    pub fn from_table(table: &'static [Setting]) -> Self {
        let values = table.iter().enumerate().map(|(at, row)| {
            assert!(table.iter().skip(at + 1).all(|other| other.key != row.key), "{} occurs twice", row.key);
            row.accept(row.default).unwrap_or_else(|error| panic!("the default breaks the rule: {error}"))
        });
        Self { table, values: values.collect() }
    }

    /// The rows.
    pub fn table(&self) -> &'static [Setting] {
        self.table
    }

    fn find(&self, key: &str) -> Option<(usize, &'static Setting)> {
        self.table.iter().enumerate().find(|(_, row)| row.key == key)
    }

    /// Takes the values of a properties file; the last of several lines with one key counts. On an error
    /// nothing is changed.
    pub fn load(&mut self, text: &str) -> Result<Vec<Warning>, SettingError> {
        let mut warnings = Vec::new();
        let mut changed = self.clone();
        for (key, value) in properties::parse(text)? {
            match changed.set(&key, &value) {
                Ok(()) => {}
                Err(SettingError::Unknown { key, nearest }) => {
                    warnings.push(match JAVA_ONLY_KEYS.iter().find(|known| **known == key) {
                        Some(key) => Warning::JavaOnly { key },
                        None => Warning::Unknown { key, nearest },
                    });
                }
                Err(error) => return Err(error),
            }
        }
        *self = changed;
        Ok(warnings)
    }

    /// Sets one value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let (at, row) = self.find(key).ok_or_else(|| SettingError::unknown(key, self.table))?;
        let accepted = row.accept(value)?;
        if let Some(slot) = self.values.get_mut(at) {
            *slot = accepted;
        }
        Ok(())
    }

    /// Sets one value while the process runs: only what the table marks as hot. Setting the value that is
    /// already there is always allowed, since tools send whole files.
    pub fn set_hot(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let (_, row) = self.find(key).ok_or_else(|| SettingError::unknown(key, self.table))?;
        if !row.hot && row.accept(value)? != self.get_str(key) {
            return Err(SettingError::NotHot { key: row.key });
        }
        self.set(key, value)
    }

    /// Takes a runtime update in the form of a properties file, all of it or, on an error, nothing. Returns
    /// the keys whose value changed. Java: `Configuration.update`, which ignores unknown keys; keys that only
    /// Java knows are ignored here too.
    pub fn update_hot(&mut self, text: &str) -> Result<Vec<&'static str>, SettingError> {
        let mut changed = self.clone();
        for (key, value) in properties::parse(text)? {
            match changed.set_hot(&key, &value) {
                Err(SettingError::Unknown { key, .. }) if JAVA_ONLY_KEYS.contains(&&*key) => {}
                result => result?,
            }
        }
        let differing = self.table.iter().zip(self.values.iter().zip(&changed.values));
        let keys = differing.filter(|(_, (old, new))| old != new).map(|(row, _)| row.key).collect();
        *self = changed;
        Ok(keys)
    }

    /// The value as text.
    ///
    /// # Panics
    /// As all getters, if the table has no such key, or the key is of another kind.
    pub fn get_str(&self, key: &str) -> &str {
        let value = self.find(key).and_then(|(at, _)| self.values.get(at));
        value.unwrap_or_else(|| panic!("no setting {key}"))
    }

    /// The value of a number.
    pub fn get_i64(&self, key: &str) -> i64 {
        self.get_str(key).parse().unwrap_or_else(|_| panic!("setting {key} is no number"))
    }

    /// The value of a number whose bounds are within 32 bits.
    pub fn get_i32(&self, key: &str) -> i32 {
        i32::try_from(self.get_i64(key)).unwrap_or_else(|_| panic!("setting {key} exceeds 32 bits"))
    }

    /// The value of a number that is never negative.
    pub fn get_usize(&self, key: &str) -> usize {
        usize::try_from(self.get_i64(key)).unwrap_or_else(|_| panic!("setting {key} is negative"))
    }

    /// The value of a number of milliseconds that is never negative.
    pub fn get_millis(&self, key: &str) -> Duration {
        Duration::from_millis(self.get_usize(key) as u64)
    }

    /// The value of a switch.
    pub fn get_bool(&self, key: &str) -> bool {
        self.get_str(key).parse().unwrap_or_else(|_| panic!("setting {key} is no switch"))
    }

    /// Rows with their values, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &str)> {
        self.table.iter().zip(self.values.iter().map(String::as_str))
    }

    /// The settings with `******` for every secret that is set.
    #[must_use]
    pub fn shown(&self) -> Self {
        let mut shown = self.clone();
        for (row, value) in shown.table.iter().zip(&mut shown.values) {
            if row.secret && !value.is_empty() {
                "******".clone_into(value);
            }
        }
        shown
    }

    /// `key=value` lines of all settings, as Java prints them for `-p`.
    pub fn print_all(&self) -> String {
        self.iter().map(|(row, value)| format!("{}={value}\n", row.key)).collect()
    }

    /// `key=value` lines of the important settings, as Java prints them for `-m`.
    pub fn print_important(&self) -> String {
        let important = self.iter().filter(|(row, _)| row.important);
        important.map(|(row, value)| format!("{}={value}\n", row.key)).collect()
    }

    /// All settings as a properties file, for files and for `GET_BROKER_CONFIG`: reading it back gives the
    /// same values. Java writes no escapes and so loses backslashes.
    pub fn properties_text(&self) -> String {
        self.iter().map(|(row, value)| format!("{}={}\n", row.key, properties::escape(value))).collect()
    }

    /// The table in Markdown, for the docs.
    pub fn docs_table(table: &[Setting]) -> String {
        let mut page =
            String::from("| key | value | default | at runtime | meaning |\n|---|---|---|---|---|\n");
        for row in table {
            let hot = if row.hot { "yes" } else { "restart" };
            let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
            page += &format!("| `{}` | {} | {default} | {hot} | {} |\n", row.key, row.kind, row.doc);
        }
        page
    }
}

/// The most similar of the known keys, if it is similar at all: at most a third of it differs.
fn nearest(known: impl Iterator<Item = &'static str>, key: &str) -> Option<&'static str> {
    let (distance, nearest) =
        known.map(|known| (distance(key, known), known)).min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= nearest.len()).then_some(nearest)
}

/// Edits that turn one key into the other, whatever their case (Levenshtein). Keys longer than any real one
/// are infinitely far.
fn distance(left: &str, right: &str) -> usize {
    const KEY_LEN_MAX: usize = 80;
    if left.len() > KEY_LEN_MAX || right.len() > KEY_LEN_MAX {
        return usize::MAX / 4;
    }
    let lower = |key: &str| key.to_ascii_lowercase().into_bytes();
    let (left, right) = (lower(left), lower(right));
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, byte) in left.iter().enumerate() {
        let mut diagonal = at;
        let mut last = at + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = *cell;
            last = replaced.min(*cell + 1).min(last + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Setting] = &[
        Setting::text("brokerName", "broker-a", "Name of the replica set.").important(),
        Setting::int("listenPort", "10911", 0, 65_535, "The port."),
        Setting::int("fileReservedTime", "72", 1, i64::MAX, "Hours that messages are kept.").hot(),
        Setting::boolean("autoCreateTopicEnable", true, "Whether topics come into being by themselves.")
            .hot(),
        Setting::one_of("flushDiskType", "ASYNC_FLUSH", &["ASYNC_FLUSH", "SYNC_FLUSH"], "When to sync.")
            .important(),
    ];

    /// A file as Java ships it, with keys that mean nothing here.
    #[test]
    fn loads_files() {
        let mut settings = Settings::from_table(TABLE);
        let warnings = settings
            .load("# shipped\nbrokerName = broker-b \nlistenPort:10921\n\nflushDiskType=sync_flush\r\nautoCreateTopicEnable False\nlistenPort=10931\nsendMessageThreadPoolNums=4\nflushDiskTyp=X\nzzz=1\n")
            .unwrap();
        assert_eq!((settings.get_str("brokerName"), settings.get_i32("listenPort")), ("broker-b", 10931));
        assert_eq!(
            (settings.get_str("flushDiskType"), settings.get_bool("autoCreateTopicEnable")),
            ("SYNC_FLUSH", false)
        );
        let texts: Vec<_> = warnings.iter().map(Warning::to_string).collect();
        assert_eq!(
            texts,
            [
                "sendMessageThreadPoolNums has no meaning here: it tunes the Java implementation",
                "unknown setting flushDiskTyp, did you mean flushDiskType?",
                "unknown setting zzz",
            ]
        );
    }

    /// Errors name key, value and what is allowed, and change nothing.
    #[test]
    fn refuses_values() {
        let mut settings = Settings::from_table(TABLE);
        for (text, message) in [
            ("listenPort=70000", "listenPort=\"70000\" is refused, allowed is a number from 0 to 65535"),
            ("fileReservedTime=x", "fileReservedTime=\"x\" is refused, allowed is a number from 1 up"),
            (
                "autoCreateTopicEnable=yes",
                "autoCreateTopicEnable=\"yes\" is refused, allowed is true or false",
            ),
            (
                "flushDiskType=NEVER",
                "flushDiskType=\"NEVER\" is refused, allowed is ASYNC_FLUSH or SYNC_FLUSH",
            ),
            ("a=\\u12", "line 1: \\u without four hexadecimal digits"),
        ] {
            let error = settings.load(&format!("brokerName=other\n{text}")).unwrap_err().to_string();
            assert_eq!(error.replace("line 2", "line 1"), message);
        }
        assert_eq!(settings, Settings::from_table(TABLE));
    }

    /// Who is shown the settings sees that a secret is set, and no more; an empty one is empty.
    #[test]
    fn secrets_are_hidden() {
        const ROWS: &[Setting] =
            &[Setting::text("user", "", "A name."), Setting::text("password", "", "A secret.").secret()];
        let mut settings = Settings::from_table(ROWS);
        assert_eq!(settings.shown(), settings);
        settings.load("user=u\npassword=p\n").unwrap();
        assert_eq!(settings.shown().print_all(), "user=u\npassword=******\n");
        assert_eq!(settings.print_all(), "user=u\npassword=p\n");
    }

    /// Runtime updates change hot settings only, and all of them or none.
    #[test]
    fn updates_are_an_allow_list() {
        let mut settings = Settings::from_table(TABLE);
        let changed =
            settings.update_hot("fileReservedTime=48\nlistenPort=10911\nadminBrokerThreadPoolNums=1\n");
        assert_eq!(changed, Ok(vec!["fileReservedTime"]));
        let before = settings.clone();
        let error = settings.update_hot("fileReservedTime=1\nlistenPort=1\n").unwrap_err();
        assert_eq!(error, SettingError::NotHot { key: "listenPort" });
        assert!(matches!(
            settings.update_hot("fileReservedTimes=1"),
            Err(SettingError::Unknown { nearest: Some("fileReservedTime"), .. })
        ));
        assert_eq!(settings, before);
        assert_eq!(settings.set_hot("autoCreateTopicEnable", "FALSE"), Ok(()));
        assert!(!settings.get_bool("autoCreateTopicEnable"));
    }

    /// What is printed reads back, whatever the values hold.
    #[test]
    fn prints_as_java() {
        let mut settings = Settings::from_table(TABLE);
        assert_eq!(settings.print_important(), "brokerName=broker-a\nflushDiskType=ASYNC_FLUSH\n");
        assert!(settings.print_all().starts_with("brokerName=broker-a\nlistenPort=10911\n"));
        settings.set("brokerName", "C:\\x = #\u{e9}\n!\t").unwrap();
        let mut read = Settings::from_table(TABLE);
        assert_eq!(read.load(&settings.properties_text()), Ok(vec![]));
        assert_eq!(read, settings);
        assert!(
            Settings::docs_table(TABLE)
                .contains("| `listenPort` | a number from 0 to 65535 | `10911` | restart | The port. |")
        );
    }

    /// Similar keys are found whatever their case; unrelated ones are not proposed.
    #[test]
    fn nearest_keys() {
        let nearest = |key: &str| nearest(TABLE.iter().map(|row| row.key), key);
        assert_eq!(nearest("LISTENPORT"), Some("listenPort"));
        assert_eq!(nearest("listenPrt"), Some("listenPort"));
        assert_eq!(nearest("x"), None);
        assert_eq!(nearest(&"y".repeat(100_000)), None);
    }
}
