//! Access control of 5.x (ACL 2.0), as admin tools see it. Java counterpart: `AclInfo` with its two parts.

use serde::{Deserialize, Serialize};

/// What one user may do. Java: `AclInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AclInfo {
    /// The rules.
    pub policies: Option<Vec<PolicyInfo>>,
    /// Whom they are about, `User:name`.
    pub subject: Option<String>,
}

/// Some rules. Java: `AclInfo.PolicyInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PolicyInfo {
    /// The rules, one for each resource.
    pub entries: Option<Vec<PolicyEntryInfo>>,
    /// `Custom` or `Default`.
    pub policy_type: Option<String>,
}

/// One rule. Java: `AclInfo.PolicyEntryInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PolicyEntryInfo {
    /// `Pub`, `Sub`, `Create` and so on.
    pub actions: Option<Vec<String>>,
    /// `Allow` or `Deny`.
    pub decision: Option<String>,
    /// What it is about, as `Topic:*`.
    pub resource: Option<String>,
    /// The addresses that it holds for; absent for all.
    pub source_ips: Option<Vec<String>>,
}
