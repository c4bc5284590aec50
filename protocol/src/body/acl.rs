//! Access control of 4.9, as admin tools see it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::topic::DataVersion;

/// Answer to `GET_BROKER_CLUSTER_ACL_INFO`. Java: `ClusterAclVersionInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterAclVersionInfo {
    /// Version of the main file; only that is known to older tools.
    pub acl_config_data_version: DataVersion,
    /// Versions by file.
    pub all_acl_config_data_version: BTreeMap<String, DataVersion>,
    /// The broker's address.
    pub broker_addr: String,
    /// The broker's name.
    pub broker_name: String,
    /// Its cluster.
    pub cluster_name: String,
}

/// All accounts. Java: `AclConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AclConfig {
    /// Addresses that need no account.
    pub global_white_addrs: Vec<String>,
    /// The accounts.
    pub plain_access_configs: Vec<PlainAccessConfig>,
}

/// One account. Java: `PlainAccessConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PlainAccessConfig {
    /// Its name.
    pub access_key: Option<String>,
    /// Whether it may administer.
    pub admin: bool,
    /// The right to groups that are not listed.
    pub default_group_perm: Option<String>,
    /// The right to topics that are not listed.
    pub default_topic_perm: Option<String>,
    /// `group=RIGHTS`.
    pub group_perms: Option<Vec<String>>,
    /// Its secret.
    pub secret_key: Option<String>,
    /// `topic=RIGHTS`.
    pub topic_perms: Option<Vec<String>>,
    /// Addresses that it may come from without a signature.
    pub white_remote_address: Option<String>,
}
