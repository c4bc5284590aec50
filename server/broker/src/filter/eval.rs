//! Judging a message.
//!
//! Java's rules, where they may surprise: a property is a text, and turns into whatever it is compared with, so
//! that `a > 5` fails for `a` = `5.5` (no integer) and `a > 5.0` does not. Two texts are ordered as numbers. A
//! failure is no match, whatever stands beside it in an OR. A property alone is never true. `a = b` with both
//! missing is true; with the left one missing it is NULL, with the right one false. Only literals can be
//! negated. Java counterparts: `ComparisonExpression`, `LogicExpression`, `UnaryExpression`.

use std::cmp::Ordering;

/// A value that cannot be compared as the expression asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CannotCompare;

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
}

/// What an operand is for one message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(&'a str),
}

/// What a comparison asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

/// A compiled expression or a part of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Constant(Constant),
    /// The value of a property.
    Property(usize),
    /// A property where a truth value is needed.
    Truth(usize),
    Negate(Box<Node>),
    Not(Box<Node>),
    Compare(Relation, Box<(Node, Node)>),
    IsNull(Box<Node>),
    /// Whether a property is among these texts, which are sorted.
    In {
        place: usize,
        texts: Vec<Box<str>>,
        not: bool,
    },
    /// AND of truth values.
    All(Vec<Node>),
    /// OR of truth values.
    Any(Vec<Node>),
}

impl Constant {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(number) => Value::Int(*number),
            Self::Long(number) => Value::Long(*number),
            Self::Double(number) => Value::Double(*number),
            Self::Text(text) => Value::Text(text),
        }
    }
}

impl From<Option<bool>> for Value<'_> {
    fn from(truth: Option<bool>) -> Self {
        truth.map_or(Self::Null, Self::Bool)
    }
}

impl Relation {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Greater => order.is_gt(),
            Self::GreaterEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
        }
    }
}

impl Node {
    /// The truth value of a node that has one; the properties are in their places.
    pub(super) fn truth(&self, properties: &[Option<&str>]) -> Result<Option<bool>, CannotCompare> {
        let is_bool = |value: Value<'_>| if let Value::Bool(truth) = value { Some(truth) } else { None };
        self.value(properties).map(is_bool)
    }

    fn value<'a>(&'a self, properties: &[Option<&'a str>]) -> Result<Value<'a>, CannotCompare> {
        let property = |place: &usize| properties.get(*place).copied().flatten();
        Ok(match self {
            Self::Constant(constant) => constant.value(),
            Self::Property(place) => property(place).map_or(Value::Null, Value::Text),
            Self::Truth(place) => property(place).map(|_| false).into(),
            Self::Negate(node) => match node.value(properties)? {
                Value::Int(number) => Value::Int(number.wrapping_neg()),
                Value::Long(number) => Value::Long(number.wrapping_neg()),
                Value::Double(number) => Value::Double(-number),
                _ => Value::Null,
            },
            Self::Not(node) => node.truth(properties)?.map(|truth| !truth).into(),
            Self::Compare(relation, operands) => {
                let (left, right) = &**operands;
                compare(*relation, left, right, properties)?.into()
            }
            Self::IsNull(node) => Value::Bool(node.value(properties)? == Value::Null),
            Self::In { place, texts, not } => {
                let is_in = |text| texts.binary_search_by(|it| (**it).cmp(text)).is_ok();
                property(place).map(|text| is_in(text) != *not).into()
            }
            Self::All(nodes) => fold(nodes, properties, false)?.into(),
            Self::Any(nodes) => fold(nodes, properties, true)?.into(),
        })
    }
}

/// AND and OR: the first that is `decisive` decides, NULL comes before the other.
fn fold(nodes: &[Node], properties: &[Option<&str>], decisive: bool) -> Result<Option<bool>, CannotCompare> {
    let mut result = Some(!decisive);
    for node in nodes {
        match node.truth(properties)? {
            Some(truth) if truth == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(result)
}

fn compare(
    relation: Relation,
    left: &Node,
    right: &Node,
    properties: &[Option<&str>],
) -> Result<Option<bool>, CannotCompare> {
    let left = left.value(properties)?;
    if left == Value::Null && relation != Relation::Equal {
        return Ok(None);
    }
    let order = match (left, right.value(properties)?) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => return Ok(None),
        (_, Value::Null) if relation == Relation::Equal => return Ok(Some(false)),
        (_, Value::Null) => return Ok(None),
        (Value::Text(left), Value::Text(right)) if relation != Relation::Equal => {
            double(left)?.total_cmp(&double(right)?)
        }
        (left, right) => order(left, right)?,
    };
    Ok(Some(relation.holds(order)))
}

/// Java: `__compare`, in which a text turns into the type of the other, and what cannot be compared counts as
/// less, unless it is a text.
pub(super) fn order(left: Value<'_>, right: Value<'_>) -> Result<Ordering, CannotCompare> {
    use Value::{Bool, Double, Int, Long, Text};
    Ok(match (left, right) {
        (Text(left), Text(right)) => left.cmp(right),
        (Bool(left), Bool(right)) => left.cmp(&right),
        (Text(left), Bool(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
        // Java casts the wrong one of the two.
        (Bool(_), Text(_)) => return Err(CannotCompare),
        (Int(left), Int(right)) => left.cmp(&right),
        (Long(left), Long(right)) => left.cmp(&right),
        (Int(left), Long(right)) => i64::from(left).cmp(&right),
        (Long(left), Int(right)) => left.cmp(&i64::from(right)),
        (Double(left), Double(right)) => left.total_cmp(&right),
        (Int(left), Double(right)) => f64::from(left).total_cmp(&right),
        (Double(left), Int(right)) => left.total_cmp(&f64::from(right)),
        (Long(left), Double(right)) => (left as f64).total_cmp(&right),
        (Double(left), Long(right)) => left.total_cmp(&(right as f64)),
        (Text(left), Int(right)) => integer::<i32>(left)?.cmp(&right),
        (Int(left), Text(right)) => left.cmp(&integer(right)?),
        (Text(left), Long(right)) => integer::<i64>(left)?.cmp(&right),
        (Long(left), Text(right)) => left.cmp(&integer(right)?),
        (Text(left), Double(right)) => double(left)?.total_cmp(&right),
        (Double(left), Text(right)) => left.total_cmp(&double(right)?),
        (Bool(_) | Int(_) | Long(_) | Double(_) | Text(_) | Value::Null, _) => Ordering::Less,
    })
}

/// Java: `Integer.valueOf`, `Long.valueOf`.
fn integer<T: std::str::FromStr>(text: &str) -> Result<T, CannotCompare> {
    text.parse().map_err(|_| CannotCompare)
}

/// Java: `Double.valueOf`. There is one NaN, greater than everything.
fn double(text: &str) -> Result<f64, CannotCompare> {
    let text = text.trim_matches(|char| char <= ' ');
    let (negative, number) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let number = match number {
        "NaN" => return Ok(f64::NAN),
        "Infinity" => f64::INFINITY,
        _ => {
            let digits = number.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(number);
            // What Rust reads besides are names, and a second sign.
            if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
                return Err(CannotCompare);
            }
            digits.parse().map_err(|_| CannotCompare)?
        }
    };
    Ok(if negative { -number } else { number })
}
