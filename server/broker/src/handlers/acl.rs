//! Accounts, as admin tools see and change them. Java counterpart: the access config requests of
//! `AdminBrokerProcessor`. Other than there, nobody is ever shown a secret.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use ferrocket_acl::{Access, AccountRow};
use ferrocket_protocol::message::RecordView;
use ferrocket_protocol::properties::{self, names};
use ferrocket_protocol::requests::auth::{
    CreateAccessConfigHeader, DeleteAccessConfigHeader, GetBrokerAclConfigReply,
    UpdateGlobalWhiteAddrsConfigHeader,
};
use ferrocket_protocol::{Header, RemotingCommand, ResponseCode, Text, fastjson};
use ferrocket_remoting::Connection;

use super::Answer;
use crate::broker::Shared;
use crate::late;
use crate::refusal::Refusal;

/// 50: creates an account or changes one. It holds when this is answered, and is on the disk.
pub(crate) fn update_and_create_acl_config(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = CreateAccessConfigHeader::decode(&request.ext_fields)?;
    let text = |text: Option<Text>| text.map(|text| text.to_string());
    let row = AccountRow {
        access_key: Some(header.access_key.to_string()),
        secret_key: text(header.secret_key),
        white_remote_address: text(header.white_remote_address),
        admin: header.admin.unwrap_or(false),
        default_topic_perm: text(header.default_topic_perm),
        default_group_perm: text(header.default_group_perm),
        topic_perms: header.topic_perms.map(list),
        group_perms: header.group_perms.map(list),
    };
    let code = ResponseCode::UPDATE_AND_CREATE_ACL_CONFIG_FAILED;
    change(broker, connection, request, code, move |access, now_ms| access.update_account(row, now_ms))
}

/// 51: deletes an account.
pub(crate) fn delete_acl_config(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let DeleteAccessConfigHeader { access_key } = Header::decode(&request.ext_fields)?;
    let code = ResponseCode::DELETE_ACL_CONFIG_FAILED;
    change(broker, connection, request, code, move |access, now_ms| {
        if access.delete_account(&access_key, now_ms)? {
            return Ok(());
        }
        Err(format!("The accesskey[{access_key}] corresponding to accessConfig has been deleted failed."))
    })
}

/// 53: replaces the addresses that need no account.
pub(crate) fn update_global_white_addrs_config(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = UpdateGlobalWhiteAddrsConfigHeader::decode(&request.ext_fields)?;
    let code = ResponseCode::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED;
    change(broker, connection, request, code, move |access, now_ms| {
        let patterns = header.global_white_addrs;
        let file = header.acl_file_full_path.unwrap_or_default();
        if access.update_white(list(patterns.clone()), &file, now_ms)? {
            return Ok(());
        }
        Err(format!("The globalWhiteAddresses[{patterns}] has been updated failed."))
    })
}

/// 52: the versions of the files of accounts.
pub(crate) fn get_broker_cluster_acl_info(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let access = access(broker).map_err(Refusal::system_error)?;
    let json = |bytes: Vec<u8>| Text::from(String::from_utf8_lossy(&bytes).into_owned());
    let identity = broker.registration.identity();
    Ok(Some(request.reply_with(&GetBrokerAclConfigReply {
        version: json(fastjson::to_vec(&access.version())),
        all_acl_file_version: Some(json(fastjson::to_vec(&access.versions()))),
        broker_name: identity.broker_name.clone(),
        broker_addr: identity.addr.clone(),
        cluster_name: identity.cluster.clone(),
    })))
}

/// 54: everything in force but the secrets, which Java 4.9.7 shows (CVE-2024-23321) and 4.9.8 therefore
/// answers no more.
pub(crate) fn get_broker_cluster_acl_config(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let access = access(broker).map_err(Refusal::system_error)?;
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&access.masked()))))
}

/// Whether the sender of a request may read this record, of which the request named only the place: it needs
/// the right to the record's topic and, if it is on its way to another, to that one too.
pub(super) fn admit_reading(
    broker: &Shared,
    request: &RemotingCommand,
    peer: IpAddr,
    record: &Bytes,
) -> Result<(), Refusal> {
    let Some(access) = &broker.access else { return Ok(()) };
    let record = RecordView::parse(record).map_err(|_| Refusal::system_error("the record does not read"))?;
    for topic in [Some(record.topic), properties::get(record.properties, names::REAL_TOPIC)].iter().flatten()
    {
        access.check_reading(request, peer, topic)?;
    }
    Ok(())
}

/// Whether the sender of a request may send to this topic, which the request itself does not say.
pub(super) fn admit_sending(
    broker: &Shared,
    request: &RemotingCommand,
    peer: IpAddr,
    topic: &str,
) -> Result<(), Refusal> {
    let Some(access) = &broker.access else { return Ok(()) };
    Ok(access.check_sending(request, peer, topic)?)
}

fn access(broker: &Shared) -> Result<&Arc<Access>, String> {
    broker.access.as_ref().ok_or_else(|| "access control is off: aclEnable=false".to_owned())
}

/// Makes a change; its failure is answered with this code.
fn change(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
    code: ResponseCode,
    change: impl FnOnce(&Access, i64) -> Result<(), String> + Send + 'static,
) -> Answer {
    let failed = move |words: String| Refusal::new(code, words);
    let access = access(broker).map_err(failed)?.clone();
    let (now_ms, peer) = (broker.clock.now_ms(), connection.peer_addr());
    late::answer_blocking(broker, connection, request, move |_, asked| {
        change(&access, now_ms).map_err(failed)?;
        tracing::info!(by = %peer, code = asked.code, "accounts changed");
        Ok(asked.reply(ResponseCode::SUCCESS))
    })
}

fn list(text: Text) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
