//! Settings by their Java names.

use std::ffi::c_char;
use std::sync::Mutex;

use ferrocket_bindings::ferrocket::MessageSelector;

use crate::error::{Result, fr_error_t, fr_status_t};
use crate::handle::{call, free, get, get_if, give, kinds, lock, text};

/// Settings for one client, producer or consumer, and the subscriptions of a consumer.
///
/// Owned by the program, which may use it any number of times; free it with fr_config_free. Thread-safe.
#[derive(Default)]
pub struct fr_config_t {
    settings: Mutex<Vec<(String, String)>>,
    subscriptions: Mutex<Vec<(String, MessageSelector)>>,
}

kinds!(fr_config_t: "a configuration");

/// What an expression is, by which a consumer chooses among a topic's messages.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum fr_expression_t {
    /// Tags with `||` between them; `*` for every message.
    FR_TAG = 0,
    /// A condition on properties, such as `region = 'north' AND weight > 5`.
    FR_SQL92 = 1,
}

impl fr_config_t {
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        lock(&self.settings).clone()
    }

    pub(crate) fn subscriptions(&self) -> Vec<(String, MessageSelector)> {
        lock(&self.subscriptions).clone()
    }

    /// Subscriptions mean nothing to most.
    fn settings_alone(&self) -> Result<Vec<(String, String)>> {
        match lock(&self.subscriptions).first() {
            Some((topic, _)) => {
                Err(fr_error_t::config(format!("only consumers subscribe to topics, {topic}")))
            }
            None => Ok(self.settings()),
        }
    }
}

/// The settings of a configuration that may be NULL, for what has no subscriptions.
pub(crate) fn settings(config: *const fr_config_t) -> Result<Vec<(String, String)>> {
    Ok(get_if(config)?.map(fr_config_t::settings_alone).transpose()?.unwrap_or_default())
}

/// The selector of an expression.
pub(crate) fn selector(expression: *const c_char, kind: i32) -> Result<MessageSelector> {
    let expression = text(expression, "the expression")?;
    match kind {
        kind if kind == fr_expression_t::FR_TAG as i32 => Ok(MessageSelector::by_tag(expression)),
        kind if kind == fr_expression_t::FR_SQL92 as i32 => Ok(MessageSelector::by_sql(expression)),
        other => Err(fr_error_t::config(format!("{other} is no kind of expression, see fr_expression_t"))),
    }
}

/// Makes a configuration in which everything has its default. The program owns it (fr_config_free). Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_config_new() -> *mut fr_config_t {
    give(fr_config_t::default())
}

/// Sets a setting by its Java name, see the lists of keys above. Keys and values are checked where the configuration
/// is used: there the error names the nearest key, or what the value may be. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_config_set(
    config: *mut fr_config_t,
    key: *const c_char,
    value: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        let setting = (text(key, "the key")?.to_owned(), text(value, "the value")?.to_owned());
        lock(&get(config)?.settings).push(setting);
        Ok(())
    })
}

/// Subscribes the consumers that are started with this to a topic, by an expression of a kind of fr_expression_t.
/// Several calls make several topics. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_config_subscribe(
    config: *mut fr_config_t,
    topic: *const c_char,
    expression: *const c_char,
    kind: i32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        let subscription = (text(topic, "the topic")?.to_owned(), selector(expression, kind)?);
        lock(&get(config)?.subscriptions).push(subscription);
        Ok(())
    })
}

/// Frees a configuration. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_config_free(config: *mut fr_config_t) {
    free(config);
}
