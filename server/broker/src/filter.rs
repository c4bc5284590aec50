//! SQL92 filters: the text of an expression becomes a compiled [`Expression`], which judges messages by their
//! properties. A pure core.
//!
//! The language is Java 4.9's: `=` `<>` `<` `<=` `>` `>=`, `BETWEEN`, `IN`, `IS NULL`, `AND`, `OR`, `NOT`, with
//! numbers, texts in single quotes, `TRUE`, `FALSE` and `NULL`, judged by its rules of conversion, odd ones
//! included (see [`eval`]). `testdata/sql92.txt` holds what Java's own classes say. `LIKE`, arithmetic and 5.x's
//! `CONTAINS` do not exist in it. Left out: hexadecimal floating-point numbers and digits that are not ASCII in
//! the values of properties; such a value counts as no number. Java counterpart: the `filter` module.

use std::collections::HashMap;
use std::fmt;

use ferrocket_protocol::properties;

mod eval;
mod lexer;
mod parser;

use eval::CannotCompare;

/// Bytes of an expression's text.
const EXPRESSION_LEN_MAX: usize = 8 * 1024;
/// Operators and operands of an expression: they are what judging one message costs.
const NODES_MAX: usize = 1_024;
/// How deep parentheses, `NOT` and signs may be nested.
const DEPTH_MAX: usize = 64;
/// How many of `=`, `<>` and `IS` may follow each other without parentheses, as in `a = b IS NULL`.
const CHAIN_MAX: usize = 8;

/// Why a text is no expression; for the peer that sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidExpression(String);

impl InvalidExpression {
    /// There are no expressions of this type.
    pub(crate) fn of_type(expression_type: &str) -> Self {
        Self(format!("there are no filters of type {expression_type}"))
    }
}

impl fmt::Display for InvalidExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invalid MessageSelector. {}", self.0)
    }
}

impl std::error::Error for InvalidExpression {}

/// A compiled expression. Java: `BooleanExpression`.
#[derive(Debug)]
pub(crate) struct Expression {
    /// The place of each property that the expression names, so that one pass over a message's properties
    /// finds them all.
    places: HashMap<Box<str>, usize>,
    root: eval::Node,
}

impl Expression {
    /// Compiles an expression. Like Java's, the parser stops where the expression ends: `a = 1 b` is `a = 1`.
    ///
    /// # Errors
    /// A text that Java refuses, or one beyond the limits above.
    pub(crate) fn compile(text: &str) -> Result<Self, InvalidExpression> {
        if text.len() > EXPRESSION_LEN_MAX {
            let len = text.len();
            return Err(InvalidExpression(format!("{len} bytes are more than {EXPRESSION_LEN_MAX}")));
        }
        parser::parse(text)
    }

    /// Judges a message by the text of its properties; `None` is SQL's NULL, neither true nor false.
    ///
    /// # Errors
    /// A value that cannot be compared with what the expression compares it with.
    fn evaluate(&self, properties: &str) -> Result<Option<bool>, CannotCompare> {
        let mut values = vec![None; self.places.len()];
        for (name, value) in properties::iter(properties) {
            if let Some(place) = self.places.get(name).and_then(|place| values.get_mut(*place)) {
                *place = Some(value);
            }
        }
        self.root.truth(&values)
    }

    /// Whether a message with these properties is wanted: a message that cannot be judged is not.
    pub(crate) fn wants(&self, properties: &str) -> bool {
        self.evaluate(properties) == Ok(Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line says what Java's classes make of an expression: `!` if they refuse it, else one letter for
    /// each of the property sets at the file's head: true, false, null, or error.
    #[test]
    fn judges_as_java_does() {
        let file = include_str!("../testdata/sql92.txt");
        let mut sets = Vec::new();
        let mut wrong = Vec::new();
        for line in file.split('\n').filter(|line| !line.is_empty()) {
            if let Some(set) = line.strip_prefix('@') {
                sets.push(set.replace('=', "\u{1}").replace('\t', "\u{2}"));
                continue;
            }
            let (java, text) = line.split_once(' ').unwrap();
            let text = unescape(text);
            let ours = match Expression::compile(&text) {
                Err(_) => "!".to_owned(),
                Ok(expression) => sets.iter().map(|set| letter(expression.evaluate(set))).collect(),
            };
            if ours != java {
                wrong.push(format!("{text:?}: {ours}, Java {java}"));
            }
        }
        assert_eq!(sets.len(), 25);
        assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    }

    fn letter(result: Result<Option<bool>, CannotCompare>) -> char {
        match result {
            Ok(Some(true)) => 'T',
            Ok(Some(false)) => 'F',
            Ok(None) => 'N',
            Err(CannotCompare) => 'E',
        }
    }

    fn unescape(text: &str) -> String {
        let mut chars = text.chars();
        let mut plain = String::new();
        while let Some(char) = chars.next() {
            plain.push(match char {
                '\\' => match chars.next().unwrap() {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'f' => '\u{c}',
                    other => other,
                },
                char => char,
            });
        }
        plain
    }

    /// Expressions that are too long, too deep or too big are refused, those just within the limits judged.
    #[test]
    fn limits() {
        let judged = |text: &str| Expression::compile(text).map(|it| it.evaluate("a\u{1}5"));
        let nested =
            |open: &str, close: &str, depth| format!("{}a = 5{}", open.repeat(depth), close.repeat(depth));
        for (open, close) in [("(", ")"), ("NOT (", ")"), ("NOT NOT (", ")")] {
            let levels = open.split(' ').count();
            let text = nested(open, close, DEPTH_MAX / levels);
            assert_eq!(judged(&text), Ok(Ok(Some(true))), "{open}");
            assert!(judged(&nested(open, close, DEPTH_MAX / levels + 1)).is_err(), "{open}");
        }
        assert!(judged(&format!("{}5 = a", "-".repeat(DEPTH_MAX + 1))).is_err());
        assert!(judged(&format!("{}5 = a", "+".repeat(100_000))).is_err());
        assert!(judged(&"(".repeat(EXPRESSION_LEN_MAX)).is_err());
        let many = |terms: usize| vec!["a = 4"; terms].join(" OR ");
        assert_eq!(judged(&many(NODES_MAX / 3)), Ok(Ok(Some(false))));
        assert!(judged(&many(NODES_MAX / 3 + 1)).is_err());
        let chain = |links| format!("a{}", " IS NULL".repeat(links));
        assert!(judged(&chain(CHAIN_MAX)).is_ok());
        assert!(judged(&chain(CHAIN_MAX + 1)).is_err());
        let long = format!("a IN ('{}')", "x".repeat(EXPRESSION_LEN_MAX));
        assert!(judged(&long).is_err());
    }
}
