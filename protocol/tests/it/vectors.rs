//! The table of golden vectors and who tests which of its rows; the tests of other crates take this file too.

#![allow(dead_code, reason = "no crate's tests need all of it")]

/// The rows of formats that nothing here speaks, of replication and of pop consumption: nothing tests them.
const SPOKEN_BY_NOBODY: [&str; 10] = [
    "HA slave report",
    "HA master header, heartbeat",
    "DLedger entry header, first 48 bytes",
    "DLedger index unit",
    "DLedger METADATA response body",
    "pop extra info",
    "pop receipt handle",
    "pop startOffsetInfo",
    "pop msgOffsetInfo",
    "pop orderCountInfo",
];

/// The crate that has the format. Whatever is not named here is the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Protocol,
    Store,
    Nobody,
}

impl Owner {
    fn of(name: &str) -> Self {
        match name {
            name if name.starts_with("consume queue entry") || name == "lock file" => Self::Store,
            name if SPOKEN_BY_NOBODY.contains(&name) => Self::Nobody,
            _ => Self::Protocol,
        }
    }
}

/// One row: something that Java wrote.
pub(crate) struct Vector {
    pub(crate) name: String,
    /// The version of Java's that wrote it.
    pub(crate) version: String,
    /// What it was made from, in words.
    pub(crate) input: String,
    /// The expected text, or the hexadecimal digits of the expected bytes.
    pub(crate) text: String,
    /// The expected bytes.
    pub(crate) bytes: Vec<u8>,
}

/// The rows that a crate has to test, every one.
pub(crate) fn of(owner: Owner) -> Vec<Vector> {
    let vector = |row: Vec<String>| {
        let [name, version, encoding, input, text] = row.try_into().expect("five columns");
        let bytes = if encoding == "hex" { hex(&text) } else { text.clone().into_bytes() };
        Vector { name, version, input, text, bytes }
    };
    let rows = csv_rows(include_str!("../../testdata/golden_vectors.csv"));
    let mine: Vec<_> = rows.into_iter().map(vector).filter(|row| Owner::of(&row.name) == owner).collect();
    assert!(!mine.is_empty());
    mine
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).expect("hexadecimal digits") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

/// The rows of a table of comma separated values, its header line left out.
pub(crate) fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let cell = row.last_mut().expect("a row has a cell");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\n' if !quoted => rows.push(std::mem::replace(&mut row, vec![String::new()])),
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    rows.split_off(1)
}
