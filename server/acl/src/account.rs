//! One account: its name, its secret, and its rights.
//!
//! Java counterparts: `PlainAccessConfig`, `PlainAccessResource`, `Permission`.

use std::collections::HashMap;
use std::net::IpAddr;

use ferrocket_protocol::body::acl::PlainAccessConfig;
use serde::{Deserialize, Serialize};

use crate::address::AddressPattern;

/// In front of a group's name, the name of its retry topic; a right to it is the right to the group.
pub(crate) const RETRY_PREFIX: &str = "%RETRY%";
/// Names and secrets must be longer. Java: `ACCESS_KEY_MIN_LENGTH`.
const KEY_LENGTH_MIN: usize = 6;

/// Topics that messages of all others pass through: default rights do not open them.
const MIXED_TOPICS: [&str; 4] = [
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
];

/// An account as files and admin tools describe it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct AccountRow {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// Its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
    /// Addresses that it may come from without a signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub white_remote_address: Option<String>,
    /// Whether it may administer.
    pub admin: bool,
    /// The right to topics that are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_topic_perm: Option<String>,
    /// The right to groups that are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_group_perm: Option<String>,
    /// `topic=RIGHTS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_perms: Option<Vec<String>>,
    /// `group=RIGHTS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_perms: Option<Vec<String>>,
}

impl AccountRow {
    /// Takes over what `newer` says; what it leaves out or empty stays. Java: `createAclAccessConfigMap`.
    pub(crate) fn update(&mut self, newer: Self) {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        self.secret_key = some(newer.secret_key).or(self.secret_key.take());
        self.white_remote_address = newer.white_remote_address.or(self.white_remote_address.take());
        self.admin = newer.admin;
        self.default_topic_perm = some(newer.default_topic_perm).or(self.default_topic_perm.take());
        self.default_group_perm = some(newer.default_group_perm).or(self.default_group_perm.take());
        self.topic_perms = newer.topic_perms.or(self.topic_perms.take());
        self.group_perms = newer.group_perms.or(self.group_perms.take());
    }

    /// What Java's tools may see of it: everything but the secret.
    pub(crate) fn masked(&self) -> PlainAccessConfig {
        let row = self.clone();
        PlainAccessConfig {
            access_key: row.access_key,
            admin: row.admin,
            default_group_perm: row.default_group_perm,
            default_topic_perm: row.default_topic_perm,
            group_perms: row.group_perms,
            secret_key: row.secret_key.map(|_| "******".to_owned()),
            topic_perms: row.topic_perms,
            white_remote_address: row.white_remote_address,
        }
    }
}

/// What may be done with a topic or a group. Neither is Java's `DENY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    publish: bool,
    subscribe: bool,
}

/// What a request does with a topic or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Pub,
    Sub,
}

impl Rights {
    fn parse(text: &str) -> Option<Self> {
        let (publish, subscribe) = match text.trim() {
            "PUB" => (true, false),
            "SUB" => (false, true),
            "PUB|SUB" | "SUB|PUB" => (true, true),
            "DENY" => (false, false),
            _ => return None,
        };
        Some(Self { publish, subscribe })
    }

    fn include(self, right: Right) -> bool {
        match right {
            Right::Pub => self.publish,
            Right::Sub => self.subscribe,
        }
    }
}

/// An account in the form that requests are judged by.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) admin: bool,
    white: AddressPattern,
    default_topic: Rights,
    default_group: Rights,
    /// By topic; groups by their retry topics.
    listed: HashMap<String, Rights>,
}

impl Account {
    /// The account of a row; the error is Java's text. A right that is none of Java's four is an error, where
    /// Java takes it for `DENY`.
    pub(crate) fn new(row: &AccountRow) -> Result<Self, String> {
        let long =
            |key: &Option<String>| key.clone().filter(|key| key.encode_utf16().count() > KEY_LENGTH_MIN);
        let (access_key, secret_key) = (long(&row.access_key), long(&row.secret_key));
        let (Some(access_key), Some(secret_key)) = (access_key, secret_key.clone()) else {
            return Err(format!(
                "The accessKey={} and secretKey={} cannot be null and length should longer than 6",
                row.access_key.as_deref().unwrap_or("null"),
                // Java shows it; only one that is of no use to anybody is shown here.
                secret_key.map_or(row.secret_key.as_deref().unwrap_or("null"), |_| "******")
            ));
        };
        let mut listed = HashMap::new();
        for (prefix, perms) in [("", &row.topic_perms), (RETRY_PREFIX, &row.group_perms)] {
            for perm in perms.iter().flatten() {
                let parts: Vec<&str> = perm.split('=').filter(|part| !part.is_empty()).collect();
                let [name, rights] = parts[..] else {
                    return Err(format!(
                        "Parse Resource format error for {perm}.\nThe expected resource format is 'Res=Perm'. \
                         For example: topicA=SUB"
                    ));
                };
                listed.insert(format!("{prefix}{}", name.trim()), rights_of(rights, perm)?);
            }
        }
        let default_rights = |text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(Rights::default()),
            Some(text) => rights_of(text, text),
        };
        Ok(Self {
            access_key,
            secret_key,
            admin: row.admin,
            white: AddressPattern::parse(row.white_remote_address.as_deref().unwrap_or(""))?,
            default_topic: default_rights(&row.default_topic_perm)?,
            default_group: default_rights(&row.default_group_perm)?,
            listed,
        })
    }

    /// Whether it needs no signature from there.
    pub(crate) fn is_trusted_at(&self, peer: IpAddr) -> bool {
        self.white.matches(peer)
    }

    /// Whether it may do this with a topic (of a group, with the retry topic). An admin may do everything
    /// unless its row lists rights; then these hold for it as for others.
    pub(crate) fn may(&self, resource: &str, right: Right) -> bool {
        if self.admin && self.listed.is_empty() {
            return true;
        }
        let default = match resource {
            group if group.starts_with(RETRY_PREFIX) => self.default_group,
            mixed if MIXED_TOPICS.contains(&mixed) => Rights::default(),
            _ => self.default_topic,
        };
        self.listed.get(resource).copied().unwrap_or(default).include(right)
    }
}

fn rights_of(text: &str, named: &str) -> Result<Rights, String> {
    Rights::parse(text).ok_or_else(|| {
        format!(
            "Parse resource permission error for {named}.\nThe expected permissions are 'SUB' or 'PUB' or \
             'SUB|PUB' or 'PUB|SUB'."
        )
    })
}
