//! Topic lists of the NameServer.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `DELETE_TOPIC_IN_NAMESRV`. Java: `DeleteTopicFromNamesrvRequestHeader`.
    DeleteTopicFromNamesrvHeader {
        topic: Text = "topic" required,
        cluster_name: Text = "clusterName" optional,
    }

    /// Header of `GET_TOPICS_BY_CLUSTER`. Java: `GetTopicsByClusterRequestHeader`.
    GetTopicsByClusterHeader {
        cluster: Text = "cluster" required,
    }
}
