//! From words to a tree, refusing what Java refuses: comparing what has no order, a number where a truth value
//! is needed, bounds of `BETWEEN` in the wrong order. Java counterparts: `SelectorParser` and the `create…`
//! functions of its expressions.
//!
//! ```text
//! or         = and { OR and }
//! and        = equality { AND equality }
//! equality   = comparison { "=" comparison | "<>" comparison | IS [NOT] NULL }
//! comparison = unary { (">" | ">=" | "<" | "<=") unary | [NOT] BETWEEN unary AND unary | [NOT] IN "(" texts ")" }
//! unary      = "+" unary | "-" unary | NOT unary | literal | name | "(" or ")"
//! ```

use std::collections::HashMap;

use super::eval::{Constant, Node, Relation, order};
use super::lexer::{Lexer, Token};
use super::{CHAIN_MAX, DEPTH_MAX, Expression, InvalidExpression, NODES_MAX};

type Parsed = Result<Node, InvalidExpression>;

/// Compiles a text whose length is within the limit.
pub(super) fn parse(text: &str) -> Result<Expression, InvalidExpression> {
    let mut lexer = Lexer::new(text);
    let next = lexer.next()?;
    let mut parser = Parser { lexer, next, places: HashMap::new(), nodes: 0, depth: 0 };
    let root = parser.or()?.into_truth()?;
    Ok(Expression { places: parser.places, root })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The word that is looked at. Taken from the lexer as soon as the one before it is used, as in Java: a
    /// broken word right behind the expression is an error, later ones are not seen.
    next: Token<'a>,
    places: HashMap<Box<str>, usize>,
    nodes: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn advance(&mut self) -> Result<Token<'a>, InvalidExpression> {
        let token = self.next;
        self.next = self.lexer.next()?;
        Ok(token)
    }

    /// Takes the word if it is this one.
    fn eat(&mut self, token: Token<'_>) -> Result<bool, InvalidExpression> {
        let is = self.next == token;
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn expect(&mut self, token: Token<'_>) -> Result<(), InvalidExpression> {
        if self.eat(token)? { Ok(()) } else { self.fail(&format!("{token:?} expected")) }
    }

    fn fail<T>(&self, wanted: &str) -> Result<T, InvalidExpression> {
        Err(InvalidExpression(format!("{wanted}, found {:?}", self.next)))
    }

    fn count(&mut self, node: Node) -> Parsed {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(InvalidExpression(format!("more than {NODES_MAX} operators and operands")));
        }
        Ok(node)
    }

    fn or(&mut self) -> Parsed {
        let first = self.and()?;
        if self.next != Token::Or {
            return Ok(first);
        }
        let mut terms = vec![first.into_truth()?];
        while self.eat(Token::Or)? {
            terms.push(self.and()?.into_truth()?);
        }
        Ok(Node::Any(terms))
    }

    fn and(&mut self) -> Parsed {
        let first = self.equality()?;
        if self.next != Token::And {
            return Ok(first);
        }
        let mut terms = vec![first.into_truth()?];
        while self.eat(Token::And)? {
            terms.push(self.equality()?.into_truth()?);
        }
        Ok(Node::All(terms))
    }

    fn equality(&mut self) -> Parsed {
        let mut left = self.comparison()?;
        for links in 0.. {
            let operator = self.next;
            if !matches!(operator, Token::Equal | Token::NotEqual | Token::Is) {
                break;
            }
            if links == CHAIN_MAX {
                return self.fail(&format!("more than {CHAIN_MAX} comparisons in a row"));
            }
            self.advance()?;
            left = if operator == Token::Is {
                let not = self.eat(Token::Not)?;
                self.expect(Token::Null)?;
                Node::IsNull(Box::new(left)).negated_if(not)
            } else {
                let right = self.comparison()?;
                equal(left, right)?.negated_if(operator == Token::NotEqual)
            };
            left = self.count(left)?;
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.unary()?;
        let operator = self.next;
        let relation = match operator {
            Token::Greater => Relation::Greater,
            Token::GreaterEqual => Relation::GreaterEqual,
            Token::Less => Relation::Less,
            Token::LessEqual => Relation::LessEqual,
            Token::Between | Token::In | Token::Not => return self.range_or_list(left),
            _ => return Ok(left),
        };
        self.advance()?;
        let right = self.unary()?;
        let node = compare(relation, left, right)?;
        self.count(node)?.closed(self)
    }

    /// `[NOT] BETWEEN …` and `[NOT] IN …`.
    fn range_or_list(&mut self, left: Node) -> Parsed {
        let not = self.eat(Token::Not)?;
        if self.eat(Token::Between)? {
            let low = self.unary()?;
            self.expect(Token::And)?;
            let high = self.unary()?;
            // The value is there twice, as in Java.
            self.nodes += 2;
            let node = if not { outside(left, low, high)? } else { between(left, low, high)? };
            return self.count(node)?.closed(self);
        }
        self.expect(Token::In)?;
        let Node::Property(place) = left else { return self.fail("only a property can be IN a list") };
        self.expect(Token::Open)?;
        let mut texts = vec![self.text()?];
        while self.eat(Token::Comma)? {
            texts.push(self.text()?);
        }
        self.expect(Token::Close)?;
        texts.sort_unstable();
        self.count(Node::In { place, texts, not })?.closed(self)
    }

    fn text(&mut self) -> Result<Box<str>, InvalidExpression> {
        let Token::Text(text) = self.next else { return self.fail("a text expected") };
        self.advance()?;
        Ok(text.replace("''", "'").into())
    }

    fn unary(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX + 1 {
            return Err(InvalidExpression(format!("nested deeper than {DEPTH_MAX}")));
        }
        let node = match self.next {
            Token::Plus => {
                self.advance()?;
                self.unary()?
            }
            Token::Minus => {
                self.advance()?;
                Node::Negate(Box::new(self.unary()?))
            }
            Token::Not => {
                self.advance()?;
                Node::Not(Box::new(self.unary()?.into_truth()?))
            }
            Token::Open => {
                self.advance()?;
                let node = self.or()?;
                self.expect(Token::Close)?;
                node
            }
            Token::Name(name) => {
                self.advance()?;
                let new = self.places.len();
                Node::Property(*self.places.entry(name.into()).or_insert(new))
            }
            Token::Text(_) => Node::Constant(Constant::Text(self.text()?)),
            _ => self.literal()?,
        };
        self.depth -= 1;
        self.count(node)
    }

    fn literal(&mut self) -> Parsed {
        let constant = match self.next {
            Token::Decimal(text) => decimal(text)?,
            Token::Floating(text) => floating(text)?,
            Token::True => Constant::Bool(true),
            Token::False => Constant::Bool(false),
            Token::Null => Constant::Null,
            _ => return self.fail("a value expected"),
        };
        self.advance()?;
        Ok(Node::Constant(constant))
    }
}

impl Node {
    /// A comparison is complete; nothing that Java compares can follow, since truth values have no order and
    /// are in no list.
    fn closed(self, parser: &Parser<'_>) -> Parsed {
        match parser.next {
            Token::Greater | Token::GreaterEqual | Token::Less | Token::LessEqual => {
                parser.fail("a truth value cannot be compared")
            }
            Token::Between | Token::In | Token::Not => parser.fail("a truth value cannot be compared"),
            _ => Ok(self),
        }
    }

    fn negated_if(self, not: bool) -> Self {
        if not { Self::Not(Box::new(self)) } else { self }
    }

    /// As an operand of AND, OR and NOT. Java: `asBooleanExpression`.
    fn into_truth(self) -> Parsed {
        match self {
            Self::Property(place) => Ok(Self::Truth(place)),
            node if node.is_truth() => Ok(node),
            _ => Err(InvalidExpression("a truth value is needed, not a text or a number".to_owned())),
        }
    }

    /// Java: `instanceof BooleanExpression`.
    fn is_truth(&self) -> bool {
        match self {
            Self::Constant(constant) => matches!(constant, Constant::Bool(_) | Constant::Null),
            Self::Property(_) | Self::Negate(_) => false,
            _ => true,
        }
    }
}

/// Java: `createFromDecimal`.
fn decimal(text: &str) -> Result<Constant, InvalidExpression> {
    let digits = text.trim_end_matches(['l', 'L']);
    let number: i64 = digits.parse().map_err(|_| InvalidExpression(format!("{text} is no 64-bit number")))?;
    Ok(i32::try_from(number).map_or(Constant::Long(number), Constant::Int))
}

/// Java: `createFloat`, which takes zero for less than the least number.
fn floating(text: &str) -> Result<Constant, InvalidExpression> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(Constant::Double(number)),
        _ => Err(InvalidExpression(format!("{text} is too great or too small"))),
    }
}

/// Java: `createEqual`.
fn equal(left: Node, right: Node) -> Parsed {
    if let (Node::Constant(Constant::Null), _) | (_, Node::Constant(Constant::Null)) = (&left, &right) {
        return Err(InvalidExpression("NULL cannot be compared; there is IS NULL".to_owned()));
    }
    if let (Node::Constant(Constant::Bool(_)), Node::Constant(other)) = (&left, &right)
        && !matches!(other, Constant::Bool(_))
    {
        return Err(InvalidExpression("TRUE and FALSE cannot be compared with other values".to_owned()));
    }
    Ok(Node::Compare(Relation::Equal, Box::new((left, right))))
}

/// Java: `createLessThan` and its like.
fn compare(relation: Relation, left: Node, right: Node) -> Parsed {
    let has_no_order = |node: &Node| node.is_truth() || matches!(node, Node::Constant(Constant::Text(_)));
    if has_no_order(&left) || has_no_order(&right) {
        return Err(InvalidExpression("texts and truth values have no order".to_owned()));
    }
    Ok(Node::Compare(relation, Box::new((left, right))))
}

/// Java: `createBetween`.
fn between(value: Node, low: Node, high: Node) -> Parsed {
    if let (Node::Constant(low), Node::Constant(high)) = (&low, &high)
        && order(high.value(), low.value()).is_ok_and(|order| order.is_lt())
    {
        return Err(InvalidExpression("the bounds of BETWEEN are in the wrong order".to_owned()));
    }
    let low = compare(Relation::GreaterEqual, value.clone(), low)?;
    Ok(Node::All(vec![low, compare(Relation::LessEqual, value, high)?]))
}

/// Java: `createNotBetween`, which does not look at the order of the bounds.
fn outside(value: Node, low: Node, high: Node) -> Parsed {
    let low = compare(Relation::Less, value.clone(), low)?;
    Ok(Node::Any(vec![low, compare(Relation::Greater, value, high)?]))
}
