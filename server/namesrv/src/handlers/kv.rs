//! The key-value table.

use std::sync::Arc;

use ferrocket_protocol::requests::kv::{
    DeleteKVConfigHeader, GetKVConfigHeader, GetKVConfigReply, GetKVListByNamespaceHeader, PutKVConfigHeader,
};
use ferrocket_protocol::{Header, RemotingCommand, ResponseCode, fastjson};

use crate::dispatch::{Answered, Later, Refusal};
use crate::kv_config::LEN_MAX;
use crate::namesrv::Shared;

/// Sets a value; answers once it is on disk.
pub(crate) fn put_kv_config(shared: &Arc<Shared>, request: &RemotingCommand) -> Result<Later, Refusal> {
    let header = PutKVConfigHeader::decode(&request.ext_fields)?;
    let (namespace, key, value) = (header.namespace, header.key, header.value);
    shared.kv.put(namespace.to_string(), key.to_string(), value.to_string()).map_err(|_| {
        Refusal::new(ResponseCode::SYSTEM_ERROR, format!("the key-value table is limited to {LEN_MAX} bytes"))
    })?;
    Ok(persisted(shared, request))
}

/// Removes a value; success also when there is none.
pub(crate) fn delete_kv_config(shared: &Arc<Shared>, request: &RemotingCommand) -> Result<Later, Refusal> {
    let header = DeleteKVConfigHeader::decode(&request.ext_fields)?;
    shared.kv.delete(&header.namespace, &header.key);
    Ok(persisted(shared, request))
}

/// Success once the table is on disk. Java logs a failure and answers success.
fn persisted(shared: &Arc<Shared>, request: &RemotingCommand) -> Later {
    let (shared, success) = (shared.clone(), request.reply(ResponseCode::SUCCESS));
    Box::new(move || match shared.kv.persist() {
        Ok(()) => success,
        Err(error) => {
            tracing::error!(%error, "the key-value table cannot be written");
            let remark = format!("the key-value table cannot be written: {error}");
            success.reply_error(ResponseCode::SYSTEM_ERROR, remark)
        }
    })
}

/// One value.
pub(crate) fn get_kv_config(shared: &Shared, request: &RemotingCommand) -> Answered {
    let header = GetKVConfigHeader::decode(&request.ext_fields)?;
    match shared.kv.get(&header.namespace, &header.key) {
        Some(value) => Ok(request.reply_with(&GetKVConfigReply { value: Some(value.into()) })),
        None => {
            let remark = format!("No config item, Namespace: {} Key: {}", header.namespace, header.key);
            Err(Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark))
        }
    }
}

/// All values of a namespace.
pub(crate) fn get_kvlist_by_namespace(shared: &Shared, request: &RemotingCommand) -> Answered {
    let header = GetKVListByNamespaceHeader::decode(&request.ext_fields)?;
    match shared.kv.namespace(&header.namespace) {
        Some(table) => Ok(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&table))),
        None => {
            let remark = format!("No config item, Namespace: {}", header.namespace);
            Err(Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark))
        }
    }
}
