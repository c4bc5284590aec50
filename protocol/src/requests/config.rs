//! Configuration.

use super::headers;
use crate::command::Text;

headers! {
    /// Reply to `GET_BROKER_CONFIG`. Java: `GetBrokerConfigResponseHeader`.
    GetBrokerConfigReply {
        version: Text = "version" required,
    }
}
