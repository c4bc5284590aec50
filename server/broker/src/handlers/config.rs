//! The Broker's settings, and housekeeping on demand. Java counterpart: the config and cleaning requests of
//! `AdminBrokerProcessor`.

use std::sync::Arc;

use ferrocket_protocol::requests::config::GetBrokerConfigReply;
use ferrocket_protocol::settings::SettingError;
use ferrocket_protocol::{RemotingCommand, ResponseCode, fastjson};
use ferrocket_remoting::Connection;

use super::Answer;
use crate::broker::Shared;
use crate::late;
use crate::refusal::Refusal;
use crate::registration::Registration;
use crate::settings::{UpdateError, Updated};

/// 25: changes settings while the Broker runs: those the table allows, all that are named or none. Answered
/// once the file is written, with the names of those that do nothing here.
pub(crate) fn update_broker_config(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let Ok(text) = std::str::from_utf8(&request.body) else {
        return Err(Refusal::system_error("UnsupportedEncodingException the body is not UTF-8"));
    };
    let now_ms = broker.clock.now_ms();
    let reconfigure = |config| broker.store.reconfigure(config);
    let updated = broker.settings.update(text, now_ms, reconfigure).map_err(|error| match &error {
        // Java's list of what nobody may change, in its words.
        UpdateError::Setting(SettingError::NotHot { key: "brokerConfigPath" }) => {
            Refusal::new(ResponseCode::NO_PERMISSION, "Can not update config in black list.")
        }
        UpdateError::Setting(SettingError::NotHot { .. }) => {
            Refusal::new(ResponseCode::NO_PERMISSION, error.to_string())
        }
        _ => Refusal::system_error(error.to_string()),
    })?;
    let Updated { changed, without_effect } = updated;
    for key in &changed {
        tracing::info!(key, by = %connection.peer_addr(), "setting changed");
    }
    if changed.contains(&"brokerPermission") {
        broker.topics.touch(now_ms);
    }
    if changed.contains(&"namesrvAddr") {
        Registration::set_servers(broker, "");
        broker.registration.ask_at_once.notify_one();
    }
    let done = move |asked: &RemotingCommand| {
        let mut answer = asked.reply(ResponseCode::SUCCESS);
        if !without_effect.is_empty() {
            answer.remark = Some(format!("without effect here: {}", without_effect.join(", ")).into());
        }
        answer
    };
    if changed.is_empty() || !broker.settings.has_file() {
        return Ok(Some(done(request)));
    }
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        broker.settings.save(&changed).map_err(Refusal::not_on_disk)?;
        Ok(done(asked))
    })
}

/// 26: all settings, with the version that grows with every change.
pub(crate) fn get_broker_config(broker: &Arc<Shared>, _: &Connection, request: &RemotingCommand) -> Answer {
    let (text, version) = broker.settings.text();
    let version = String::from_utf8_lossy(&fastjson::to_vec(&version)).into_owned();
    Ok(Some(request.reply_with(&GetBrokerConfigReply { version: version.into() }).with_body(text)))
}

/// 306: deletes ConsumeQueue files whose messages are gone.
pub(crate) fn clean_expired_consumequeue(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let deleted = broker.store.clean_expired_queues();
        tracing::info!(deleted, "deleted expired ConsumeQueue files on request");
        Ok(asked.reply(ResponseCode::SUCCESS))
    })
}

/// 329: deletes expired CommitLog segments now rather than at `deleteWhen`.
pub(crate) fn delete_expired_commitlog(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let deleted = broker.store.delete_expired_segments();
        tracing::info!(deleted, "deleted expired CommitLog segments on request");
        Ok(asked.reply(ResponseCode::SUCCESS))
    })
}
