//! Namespaces: `ns%name` for topics and groups, so that several instances share a cluster.
//!
//! Java counterpart: `NamespaceUtil`. Left out: the namespaces of 5.x in headers (`namespaceV2`).

use std::borrow::Cow;

use crate::client::CREATE_TOPIC_KEY;
use crate::message::RETRY_TOPIC_PREFIX;
use crate::trace::TRACE_TOPIC;
use crate::validate::NOT_ALLOWED_SEND_TOPICS;

/// Between a namespace and a name.
const SEPARATOR: char = '%';
/// What may stand before a namespace: the prefixes of a group's own topics.
const PREFIXES: [&str; 2] = [RETRY_TOPIC_PREFIX, "%DLQ%"];
/// Topics that all namespaces share, besides those that only brokers write to (`TopicValidator.SYSTEM_TOPIC_SET`).
const SYSTEM_TOPICS: [&str; 3] = [CREATE_TOPIC_KEY, "BenchmarkTest", TRACE_TOPIC];
const SYSTEM_TOPIC_PREFIX: &str = "rmq_sys_";
const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";

fn is_system(name: &str) -> bool {
    SYSTEM_TOPICS.contains(&name)
        || NOT_ALLOWED_SEND_TOPICS.contains(&name)
        || name.starts_with(SYSTEM_TOPIC_PREFIX)
        || name.starts_with(SYSTEM_GROUP_PREFIX)
}

/// The prefix of a group's own topic, and what is behind it.
fn split(name: &str) -> (&str, &str) {
    let prefix = PREFIXES.iter().find(|prefix| name.starts_with(**prefix));
    name.split_at(prefix.map_or(0, |prefix| prefix.len()))
}

/// What follows the namespace, if a name is in it.
fn inside<'a>(namespace: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(namespace)?.strip_prefix(SEPARATOR)
}

/// The name in this namespace. System names and those that are in it already stay; an empty namespace is none.
pub(crate) fn wrap<'a>(namespace: &str, name: &'a str) -> Cow<'a, str> {
    let (prefix, rest) = split(name);
    if namespace.is_empty() || name.is_empty() || is_system(name) || inside(namespace, rest).is_some() {
        return name.into();
    }
    format!("{prefix}{namespace}{SEPARATOR}{rest}").into()
}

/// The name without this namespace; one that is in another stays.
pub(crate) fn unwrap<'a>(namespace: &str, name: &'a str) -> Cow<'a, str> {
    let (prefix, rest) = split(name);
    match inside(namespace, rest) {
        Some(bare) if !namespace.is_empty() => format!("{prefix}{bare}").into(),
        _ => name.into(),
    }
}

/// The address of a NameServer that is given as an endpoint of a hosted instance, `http://INSTANCE.domain:port`, and
/// the namespace in it (`MQ_INST_x_y`). Java: `NameServerAddressUtils`.
pub(crate) fn endpoint(namesrv_addr: &str) -> (&str, Option<&str>) {
    let last = namesrv_addr.rsplit_once('/').map_or(namesrv_addr, |(_, last)| last);
    let instance = last.split_once('.').map(|(instance, _)| instance).filter(|instance| {
        let word =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let parts = instance.strip_prefix("MQ_INST_").and_then(|parts| parts.rsplit_once('_'));
        parts.is_some_and(|(account, id)| word(account) && word(id))
    });
    let addr = if namesrv_addr.starts_with("http://") { last } else { namesrv_addr };
    (addr, instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of Java's own documentation and tests.
    #[test]
    fn names_are_wrapped_as_java_does() {
        for (bare, wrapped) in
            [("T", "ns%T"), ("%RETRY%g", "%RETRY%ns%g"), ("%DLQ%g", "%DLQ%ns%g"), ("other%T", "ns%other%T")]
        {
            assert_eq!(wrap("ns", bare), wrapped);
            assert_eq!(wrap("ns", wrapped), wrapped);
            assert_eq!(unwrap("ns", wrapped), bare);
        }
        for name in ["TBW102", "RMQ_SYS_TRACE_TOPIC", "rmq_sys_x", "CID_RMQ_SYS_TRANS", ""] {
            assert_eq!((wrap("ns", name), unwrap("ns", name)), (name.into(), name.into()));
        }
        assert_eq!((wrap("", "T"), unwrap("", "ns%T")), ("T".into(), "ns%T".into()));
        assert_eq!(unwrap("ns", "%RETRY%other%g"), "%RETRY%other%g");
    }

    /// Endpoints of hosted instances carry their namespace; everything else is an address.
    #[test]
    fn endpoints_name_instances() {
        let inst = Some("MQ_INST_123_Abc");
        assert_eq!(endpoint("http://MQ_INST_123_Abc.mq.example:80"), ("MQ_INST_123_Abc.mq.example:80", inst));
        assert_eq!(endpoint("MQ_INST_123_Abc.mq.example:80"), ("MQ_INST_123_Abc.mq.example:80", inst));
        assert_eq!(endpoint("http://ns.example:9876"), ("ns.example:9876", None));
        assert_eq!(endpoint("10.0.0.1:9876;10.0.0.2:9876"), ("10.0.0.1:9876;10.0.0.2:9876", None));
        assert_eq!(endpoint("MQ_INST_1.example:80"), ("MQ_INST_1.example:80", None));
    }
}
