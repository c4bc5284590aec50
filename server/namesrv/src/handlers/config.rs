//! The NameServer's own settings.

use std::sync::Arc;

use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_protocol::settings::{SettingError, parse_properties};

use crate::dispatch::{Answer, Refusal};
use crate::kv_config::replace;
use crate::namesrv::Shared;

/// Changes settings that may change while the server runs, all or none; answers once they are saved.
///
/// Keys that nobody knows are passed over, as in Java; the remark names them.
pub(crate) fn update_namesrv_config(
    shared: &Arc<Shared>,
    request: &RemotingCommand,
) -> Result<Answer, Refusal> {
    let failed = |remark: &str| Refusal::new(ResponseCode::SYSTEM_ERROR, remark);
    let text = std::str::from_utf8(&request.body).map_err(|_| failed("string2Properties error"))?;
    let lines = parse_properties(text).map_err(|_| failed("string2Properties error"))?;
    let mut settings = shared.settings();
    if lines.iter().any(|(key, _)| settings.is_black(key)) {
        return Err(Refusal::new(ResponseCode::NO_PERMISSION, "Can not update config in black list."));
    }
    let mut changed = settings.clone();
    let mut unknown = Vec::new();
    for (key, value) in &lines {
        match changed.update(key, value) {
            Ok(()) => {}
            Err(SettingError::Unknown { key, .. }) => unknown.push(key),
            Err(error @ SettingError::NotHot { .. }) => {
                return Err(Refusal::new(ResponseCode::NO_PERMISSION, error.to_string()));
            }
            Err(error) => return Err(failed(&error.to_string())),
        }
    }
    tracing::info!(?lines, "settings updated");
    *settings = changed;
    drop(settings);

    let mut success = request.reply(ResponseCode::SUCCESS);
    if !unknown.is_empty() {
        success.remark = Some(format!("unknown settings passed over: {}", unknown.join(", ")).into());
    }
    let shared = shared.clone();
    Ok(Answer::Later(Box::new(move || match save(&shared) {
        Ok(()) => success,
        Err(error) => {
            tracing::error!(%error, "the settings cannot be saved");
            let remark = format!("the settings hold until the next start, they cannot be saved: {error}");
            success.reply_error(ResponseCode::SYSTEM_ERROR, remark)
        }
    })))
}

fn save(shared: &Shared) -> std::io::Result<()> {
    let _saving = shared.saving();
    let (path, text) = {
        let settings = shared.settings();
        (settings.path("configStorePath"), settings.text())
    };
    replace(&path, text.as_bytes())
}

/// All settings as a properties file.
pub(crate) fn get_namesrv_config(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    let text = shared.settings().text();
    request.reply(ResponseCode::SUCCESS).with_body(text)
}
