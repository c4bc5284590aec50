//! Reads `docs/src/deviations.md`: which differences from Java 4.9.7 are kept, and which requests are not served yet.
//!
//! ```text
//! | cases | differs in | ours | why |
//! | `30 without *`, `31 *` | code, remark | `1 field *` | … |
//! | 37 | `END_TRANSACTION` |
//! ```
//!
//! A pattern's `*` stands for any text. `ours` is a pattern for our code and remark, `5.3.3` (we answer as that
//! version), or `–`. A row of two cells with a number first names a request that is not served yet.

use std::collections::BTreeSet;

/// A row of the table.
#[derive(Debug)]
pub struct Deviation {
    /// Patterns of case names.
    pub cases: Vec<String>,
    /// The parts of the answer in which they may differ; each must, in some case.
    pub parts: Vec<String>,
    /// What our answers look like.
    pub ours: Ours,
}

/// The third cell of a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Ours {
    /// Nothing is said.
    Any,
    /// In these parts as Java 5.3.3.
    AsJava53,
    /// Code and remark match the pattern.
    Like(String),
}

/// The page.
#[derive(Debug, Default)]
pub struct Page {
    /// Its rows of kept differences.
    pub kept: Vec<Deviation>,
    /// Codes of requests that are not served yet.
    pub not_yet: BTreeSet<i32>,
}

impl Page {
    /// Reads the page; a row that reads as neither kind is an error, headings apart.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        for line in text.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let quoted = |cell: &str| -> Vec<String> {
                cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
            };
            match cells[..] {
                [code, _] if code.parse::<i32>().is_ok() => {
                    page.not_yet.extend(code.parse::<i32>());
                }
                [cases, parts, ours, _] if cases.starts_with('`') => page.kept.push(Deviation {
                    cases: quoted(cases),
                    parts: parts.split(", ").map(str::to_owned).collect(),
                    ours: match (ours, quoted(ours).pop()) {
                        ("5.3.3", _) => Ours::AsJava53,
                        (_, Some(pattern)) => Ours::Like(pattern),
                        _ => Ours::Any,
                    },
                }),
                _ if line.starts_with("|-") || line.starts_with("| c") => {}
                _ => return Err(format!("deviations: no row: {line}")),
            }
        }
        Ok(page)
    }
}

/// Whether `text` is `pattern`, whose `*` stands for any text.
pub fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| matches(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both kinds of rows, and patterns.
    #[test]
    fn reads_its_rows() {
        let text = "# X\n| cases | differs in | ours | why |\n|---|---|---|---|\n\
                    | `30 *`, `31 valid` | code, body | 5.3.3 | a | b\n| 37 | `END_TRANSACTION` |\n";
        let text = text.replace("a | b", "because |");
        let page = Page::parse(&text).unwrap();
        assert_eq!(page.kept[0].cases, ["30 *", "31 valid"]);
        assert_eq!(page.kept[0].parts, ["code", "body"]);
        assert_eq!(page.kept[0].ours, Ours::AsJava53);
        assert!(page.not_yet.contains(&37));
        assert!(matches("30 *", "30 without topic") && matches("* without *", "30 without topic"));
        assert!(!matches("30 *", "310 valid"));
    }
}
