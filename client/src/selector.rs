//! Which messages of a topic a consumer wants.
//!
//! Java counterparts: `MessageSelector`, `FilterAPI`.

use ferrocket_protocol::body::heartbeat::{SQL92, SUB_ALL, SubscriptionData, TAG};

use crate::error::Result;
use crate::validate::config;

/// Longest expression, in bytes. Java has no limit; brokers compile what they are sent.
const EXPRESSION_LEN_MAX: usize = 32 * 1024;

/// Which messages of a topic are wanted: by tags, or by an SQL92 condition over their properties.
/// Java: `MessageSelector`. Text converts into a selection by tags.
///
/// ```
/// use ferrocket::MessageSelector;
///
/// let vip = MessageSelector::by_tag("vip || gold");
/// assert_eq!(vip, "vip || gold".into());
/// let large = MessageSelector::by_sql("amount > 1000 AND region IN ('north', 'west')");
/// assert_eq!(large.expression(), "amount > 1000 AND region IN ('north', 'west')");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSelector {
    expression_type: &'static str,
    expression: String,
}

impl MessageSelector {
    /// Every message.
    pub fn all() -> Self {
        Self::by_tag(SUB_ALL)
    }

    /// Messages with one of these tags: `*` (or nothing) for every message, or tags with `||` between them.
    /// Java: `byTag`.
    pub fn by_tag(tags: impl Into<String>) -> Self {
        Self { expression_type: TAG, expression: tags.into() }
    }

    /// Messages whose properties satisfy an SQL92 condition; brokers need `enablePropertyFilter=true`, which is
    /// not their default, and refuse pulls otherwise. Java: `bySql`.
    ///
    /// ```
    /// use ferrocket::{Message, MessageSelector};
    ///
    /// let large = MessageSelector::by_sql("amount > 1000 AND region IN ('north', 'west')");
    /// assert_eq!(large.expression_type(), "SQL92");
    /// // It looks at properties, never at bodies.
    /// let order = Message::new("Orders", "paid").property("amount", "1200").property("region", "west");
    /// ```
    pub fn by_sql(condition: impl Into<String>) -> Self {
        Self { expression_type: SQL92, expression: condition.into() }
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// `TAG` or `SQL92`.
    pub fn expression_type(&self) -> &str {
        self.expression_type
    }

    /// What heartbeats say about a topic that is consumed so.
    pub(crate) fn subscription(&self, topic: &str, version: i64) -> Result<SubscriptionData> {
        let Self { expression_type, expression } = self;
        if expression.len() > EXPRESSION_LEN_MAX {
            let len = expression.len();
            return Err(config(format!(
                "the subscription of topic {topic} has {len} bytes, at most {EXPRESSION_LEN_MAX} are allowed"
            )));
        }
        if *expression_type == TAG {
            return SubscriptionData::tags(topic, expression, version)
                .ok_or_else(|| config(format!("subscription {expression:?} of topic {topic} names no tag")));
        }
        if expression.trim().is_empty() {
            return Err(config(format!("the SQL92 condition of topic {topic} is empty")));
        }
        Ok(SubscriptionData {
            expression_type: SQL92.to_owned(),
            sub_string: expression.clone(),
            sub_version: version,
            topic: topic.to_owned(),
            ..SubscriptionData::default()
        })
    }
}

impl From<&str> for MessageSelector {
    fn from(tags: &str) -> Self {
        Self::by_tag(tags)
    }
}

impl From<String> for MessageSelector {
    fn from(tags: String) -> Self {
        Self::by_tag(tags)
    }
}

impl From<&String> for MessageSelector {
    fn from(tags: &String) -> Self {
        Self::by_tag(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Tags become hashes for the broker, a condition travels as text; what selects nothing is refused.
    #[test]
    fn selectors_become_subscriptions() {
        let tags = MessageSelector::by_tag("a || b").subscription("T", 7).unwrap();
        assert_eq!((tags.code_set.len(), tags.sub_version, tags.is_tag_type()), (2, 7, true));
        let sql = MessageSelector::by_sql("a > 5").subscription("T", 7).unwrap();
        assert_eq!((sql.code_set.len(), &*sql.sub_string, sql.is_tag_type()), (0, "a > 5", false));
        let long = "a".repeat(EXPRESSION_LEN_MAX + 1);
        for bad in [MessageSelector::by_tag(" || "), MessageSelector::by_sql(" "), long.into()] {
            assert_eq!(bad.subscription("T", 7).unwrap_err().kind(), ErrorKind::Config);
        }
    }
}
