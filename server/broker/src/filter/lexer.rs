//! The words of an expression. Each takes the longest text it can, one at a time: what stands behind the
//! expression's end is not looked at. Java counterpart: `SelectorParserTokenManager`.

use super::InvalidExpression;

/// A word. Keywords in any case; names as they are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Not,
    And,
    Or,
    Between,
    In,
    True,
    False,
    Null,
    Is,
    /// `0`, or digits that do not begin with 0, with or without `l` behind.
    Decimal(&'a str),
    /// With a point or an exponent.
    Floating(&'a str),
    /// What stands between the quotes; a quote within is doubled.
    Text(&'a str),
    /// The name of a property.
    Name(&'a str),
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Open,
    Comma,
    Close,
    Plus,
    Minus,
    End,
}

/// Keywords, and what they are.
const KEYWORDS: [(&str, Token<'_>); 9] = [
    ("NOT", Token::Not),
    ("AND", Token::And),
    ("OR", Token::Or),
    ("BETWEEN", Token::Between),
    ("IN", Token::In),
    ("TRUE", Token::True),
    ("FALSE", Token::False),
    ("NULL", Token::Null),
    ("IS", Token::Is),
];

/// Signs; of two that begin alike the longer one first.
const SIGNS: [(&str, Token<'_>); 11] = [
    ("<>", Token::NotEqual),
    ("<=", Token::LessEqual),
    (">=", Token::GreaterEqual),
    ("<", Token::Less),
    (">", Token::Greater),
    ("=", Token::Equal),
    ("(", Token::Open),
    (",", Token::Comma),
    (")", Token::Close),
    ("+", Token::Plus),
    ("-", Token::Minus),
];

/// What is left of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next word.
    pub(super) fn next(&mut self) -> Result<Token<'a>, InvalidExpression> {
        self.skip();
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        match first {
            '0'..='9' | '.' => self.number(),
            '\'' => self.text(),
            'a'..='z' | 'A'..='Z' | '_' | '$' => {
                let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || [b'_', b'$'].contains(byte);
                let word = self.take(self.rest.bytes().take_while(in_name).count());
                let keyword = KEYWORDS.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(word));
                Ok(keyword.map_or(Token::Name(word), |(_, token)| *token))
            }
            _ => {
                let sign = SIGNS.iter().find(|(sign, _)| self.rest.starts_with(sign));
                let (sign, token) = sign.ok_or_else(|| unexpected(self.rest))?;
                self.take(sign.len());
                Ok(*token)
            }
        }
    }

    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }

    /// Passes over blanks and comments. A `--` comment must end with its line, or it is two minus signs.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            let line = self.rest.strip_prefix("--").and_then(|text| text.find(['\n', '\r']));
            let block = self.rest.strip_prefix("/*").and_then(|text| text.find("*/").map(|at| at + 1));
            match line.or(block) {
                // Two bytes open the comment, one more is behind what was found.
                Some(at) => _ = self.take(2 + at + 1),
                None => return,
            }
        }
    }

    fn number(&mut self) -> Result<Token<'a>, InvalidExpression> {
        let bytes = self.rest.as_bytes();
        let whole = digits(bytes, 0);
        let mut end = whole;
        if bytes.get(end) == Some(&b'.') {
            end = digits(bytes, end + 1);
            if end == 1 {
                return Err(unexpected(self.rest));
            }
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = end + 1 + sign;
            let behind = digits(bytes, exponent);
            if behind > exponent {
                end = behind;
            }
        }
        if end > whole {
            return Ok(Token::Floating(self.take(end)));
        }
        let len = match bytes {
            [b'0', ..] => 1,
            _ => whole + usize::from(matches!(bytes.get(whole), Some(b'l' | b'L'))),
        };
        Ok(Token::Decimal(self.take(len)))
    }

    /// From a quote to the last quote that may end the text: one that is not the first of two, or, when the
    /// text does not end at all, the first of the last two.
    fn text(&mut self) -> Result<Token<'a>, InvalidExpression> {
        let bytes = self.rest.as_bytes();
        let mut end = None;
        let mut at = 1;
        while let Some(byte) = bytes.get(at) {
            if *byte == b'\'' {
                end = Some(at);
                if bytes.get(at + 1) != Some(&b'\'') {
                    break;
                }
                at += 1;
            }
            at += 1;
        }
        let end = end.ok_or_else(|| InvalidExpression(format!("no end of the text {}", self.rest)))?;
        let quoted = self.take(end + 1);
        Ok(Token::Text(quoted.get(1..end).unwrap_or_default()))
    }
}

/// Where the digits from `at` on end.
fn digits(bytes: &[u8], at: usize) -> usize {
    at + bytes.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count()
}

fn unexpected(rest: &str) -> InvalidExpression {
    let shown: String = rest.chars().take(20).collect();
    InvalidExpression(format!("unexpected: {shown}"))
}
