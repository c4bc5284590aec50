//! The NameServer's own settings.

use std::sync::{Arc, PoisonError};

use ferrocket_protocol::settings::{SettingError, parse_properties};
use ferrocket_protocol::{RemotingCommand, ResponseCode};

use crate::dispatch::{Later, Refusal};
use crate::kv_config::replace;
use crate::namesrv::Shared;
use crate::settings::NamesrvSettings;

/// Changes settings that may change while the server runs, all or none; answers once they are saved.
///
/// Keys that nobody knows are passed over, as in Java; the remark names them, and those that do nothing here.
pub(crate) fn update_namesrv_config(
    shared: &Arc<Shared>,
    request: &RemotingCommand,
) -> Result<Later, Refusal> {
    let failed = |remark: &str| Refusal::new(ResponseCode::SYSTEM_ERROR, remark);
    let forbidden = |remark: &str| Refusal::new(ResponseCode::NO_PERMISSION, remark);
    let text = std::str::from_utf8(&request.body).map_err(|_| failed("string2Properties error"))?;
    let lines = parse_properties(text).map_err(|_| failed("string2Properties error"))?;
    let mut settings = shared.settings();
    if lines.iter().any(|(key, _)| settings.is_black(key)) {
        return Err(forbidden("Can not update config in black list."));
    }
    let mut changed = settings.clone();
    let (mut unknown, mut without_effect) = (Vec::new(), Vec::new());
    for (key, value) in &lines {
        match changed.update(key, value) {
            Ok(()) => {}
            Err(SettingError::Unknown { key, .. }) if NamesrvSettings::is_without_effect(&key) => {
                without_effect.push(key);
            }
            Err(SettingError::Unknown { key, .. }) => unknown.push(key),
            Err(error @ SettingError::NotHot { .. }) => return Err(forbidden(&error.to_string())),
            Err(error) => return Err(failed(&error.to_string())),
        }
    }
    tracing::info!(?lines, "settings updated");
    *settings = changed;
    drop(settings);

    let mut success = request.reply(ResponseCode::SUCCESS);
    let remarks = [("without effect here", without_effect), ("unknown settings passed over", unknown)]
        .into_iter()
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(words, keys)| format!("{words}: {}", keys.join(", ")));
    let remark = remarks.collect::<Vec<_>>().join("; ");
    if !remark.is_empty() {
        success.remark = Some(remark.into());
    }
    let shared = shared.clone();
    Ok(Box::new(move || match save(&shared) {
        Ok(()) => success,
        Err(error) => {
            tracing::error!(%error, "the settings cannot be saved");
            let remark = format!("the settings hold until the next start, they cannot be saved: {error}");
            success.reply_error(ResponseCode::SYSTEM_ERROR, remark)
        }
    }))
}

fn save(shared: &Shared) -> std::io::Result<()> {
    let _saving = shared.saving.lock().unwrap_or_else(PoisonError::into_inner);
    let settings = shared.settings().clone();
    replace(&settings.path("configStorePath"), settings.text().as_bytes())
}

/// All settings as a properties file.
pub(crate) fn get_namesrv_config(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    let text = shared.settings().shown_text();
    request.reply(ResponseCode::SUCCESS).with_body(text)
}
