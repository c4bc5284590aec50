//! Accounts (ACL 1.0).

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `UPDATE_AND_CREATE_ACL_CONFIG`. Java: `CreateAccessConfigRequestHeader`.
    CreateAccessConfigHeader {
        access_key: Text = "accessKey" required,
        secret_key: Text = "secretKey" optional,
        white_remote_address: Text = "whiteRemoteAddress" optional,
        admin: bool = "admin" optional,
        default_topic_perm: Text = "defaultTopicPerm" optional,
        default_group_perm: Text = "defaultGroupPerm" optional,
        topic_perms: Text = "topicPerms" optional,
        group_perms: Text = "groupPerms" optional,
    }

    /// Header of `DELETE_ACL_CONFIG`. Java: `DeleteAccessConfigRequestHeader`.
    DeleteAccessConfigHeader {
        access_key: Text = "accessKey" required,
    }

    /// Reply to `GET_BROKER_CLUSTER_ACL_INFO`. Java: `GetBrokerAclConfigResponseHeader`.
    GetBrokerAclConfigReply {
        version: Text = "version" required,
        all_acl_file_version: Text = "allAclFileVersion" optional,
        broker_name: Text = "brokerName" required,
        broker_addr: Text = "brokerAddr" required,
        cluster_name: Text = "clusterName" required,
    }

    /// Header of `UPDATE_GLOBAL_WHITE_ADDRS_CONFIG`. Java: `UpdateGlobalWhiteAddrsConfigRequestHeader`.
    UpdateGlobalWhiteAddrsConfigHeader {
        global_white_addrs: Text = "globalWhiteAddrs" required,
        acl_file_full_path: Text = "aclFileFullPath" optional,
    }
}
