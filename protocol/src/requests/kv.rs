//! The NameServer's key-value table.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `PUT_KV_CONFIG`. Java: `PutKVConfigRequestHeader`.
    PutKVConfigHeader {
        namespace: Text = "namespace" required,
        key: Text = "key" required,
        value: Text = "value" required,
    }

    /// Header of `GET_KV_CONFIG`. Java: `GetKVConfigRequestHeader`.
    GetKVConfigHeader {
        namespace: Text = "namespace" required,
        key: Text = "key" required,
    }

    /// Reply to `GET_KV_CONFIG`. Java: `GetKVConfigResponseHeader`.
    GetKVConfigReply {
        value: Text = "value" optional,
    }

    /// Header of `DELETE_KV_CONFIG`. Java: `DeleteKVConfigRequestHeader`.
    DeleteKVConfigHeader {
        namespace: Text = "namespace" required,
        key: Text = "key" required,
    }

    /// Header of `GET_KVLIST_BY_NAMESPACE`. Java: `GetKVListByNamespaceRequestHeader`.
    GetKVListByNamespaceHeader {
        namespace: Text = "namespace" required,
    }
}
