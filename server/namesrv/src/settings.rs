//! The NameServer's settings.
//!
//! Java counterparts: `NamesrvConfig` and `NettyServerConfig`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ferrocket_acl::Access;
use ferrocket_protocol::settings::{JAVA_ONLY_KEYS, Setting, SettingError, Settings, Warning, joined};
use ferrocket_remoting::{RemotingConfig, SERVER_TLS_SETTINGS, ServerTls, TlsError};

/// Keys that a runtime update may not even name. Java: `DefaultRequestProcessor.initConfigBlackList`.
const NEVER_UPDATED: [&str; 6] =
    ["aclEnable", "aclFile", "configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];

const TABLE: &[Setting] = &joined::<{ OWN.len() + SERVER_TLS_SETTINGS.len() }>(&[OWN, SERVER_TLS_SETTINGS]);

const OWN: &[Setting] = &[
    Setting::text("bindAddress", "0.0.0.0", "The address to listen on.").important(),
    Setting::int("listenPort", "9876", 0, 65_535, "The port to listen on; 0 takes any free one.").important(),
    Setting::text("rocketmqHome", "", "RocketMQ's folder; only conf/plain_acl.yml is looked for there."),
    Setting::boolean("aclEnable", false, "Ferrocket's own: whether requests need an account.").important(),
    Setting::text(
        "aclFile",
        "",
        "Ferrocket's own: the accounts; empty takes conf/plain_acl.yml in rocketmqHome.",
    ),
    Setting::text("kvConfigPath", "", "The key-value table; default ~/namesrv/kvConfig.json.").important(),
    Setting::text("configStorePath", "", "Where updates are saved; default ~/namesrv/namesrv.properties."),
    Setting::text("productEnvName", "center", "The environment's name; only told to who asks."),
    Setting::boolean("orderMessageEnable", false, "Whether routes carry order configs of the table.").hot(),
    Setting::text("configBlackList", "configBlackList;configStorePath;kvConfigPath", "Never updated."),
    Setting::int("serverChannelMaxIdleTimeSeconds", "120", 1, 86_400, "Silence that closes a connection."),
    Setting::int("serverSocketBacklog", "1024", 1, 65_535, "Connections the system holds until accepted."),
    Setting::int("serverSocketSndBufSize", "0", 0, 1 << 30, "The send buffer in bytes; 0 is the system's."),
    Setting::int(
        "serverSocketRcvBufSize",
        "0",
        0,
        1 << 30,
        "The receive buffer in bytes; 0 is the system's.",
    ),
];

/// Java's settings that are accepted and do nothing here: why, and the keys with blanks between.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("No other environment (`productEnvName`) is asked for unknown topics.", "clusterTest"),
    (
        "5.x: slaves in a master's place, an embedded controller, and when lists and routes are given.",
        "deleteTopicWithBrokerRegistration enableAllTopicList enableControllerInNamesrv enableTopicList \
         needWaitForService notifyMinBrokerIdChanged returnOrderTopicConfigToBroker scanNotActiveBrokerInterval \
         supportActingMaster waitSecondsForService",
    ),
];

/// The settings of a NameServer; [`Default`] is Java's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesrvSettings(Settings);

impl Default for NamesrvSettings {
    fn default() -> Self {
        let mut settings = Self(Settings::from_table(TABLE));
        let home = std::env::var("HOME").unwrap_or_else(|_| ".".to_owned());
        for (key, name) in [("kvConfigPath", "kvConfig.json"), ("configStorePath", "namesrv.properties")] {
            settings.0.set(key, &format!("{home}/namesrv/{name}")).expect("both rows take any text");
        }
        settings
    }
}

impl NamesrvSettings {
    /// The table of all settings.
    pub fn table() -> &'static [Setting] {
        TABLE
    }

    /// Java's settings that are accepted and do nothing here: why, and the keys. Those that tune Java's threads are
    /// not among them.
    pub fn without_effect() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
        WITHOUT_EFFECT.iter().map(|(why, keys)| (*why, keys.split_ascii_whitespace().collect()))
    }

    /// Whether it is a setting of Java's that does nothing here, for whatever reason.
    pub(crate) fn is_without_effect(key: &str) -> bool {
        JAVA_ONLY_KEYS.contains(&key) || Self::without_effect().any(|(_, keys)| keys.contains(&key))
    }

    /// Takes the values of a properties file. Returns what has no effect, in words.
    ///
    /// # Errors
    /// Names the key, the value and what is allowed; nothing is changed then.
    pub fn load(&mut self, text: &str) -> Result<Vec<String>, SettingError> {
        let in_words = |warning: Warning| match warning {
            Warning::Unknown { key, .. } if Self::is_without_effect(&key) => {
                format!("{key} has no effect: this version does not have what it sets")
            }
            warning => warning.to_string(),
        };
        Ok(self.0.load(text)?.into_iter().map(in_words).collect())
    }

    /// Sets one value.
    ///
    /// # Errors
    /// As [`NamesrvSettings::load`], and for a key that there is not.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        self.0.set(key, value)
    }

    /// `key=value` lines of all settings: what `-p` prints.
    pub fn print_all(&self) -> String {
        self.0.shown().print_all()
    }

    /// `key=value` lines of the important settings: what `-m` prints.
    pub fn print_important(&self) -> String {
        self.0.print_important()
    }

    /// The settings as a properties file, secrets and all.
    pub(crate) fn text(&self) -> String {
        self.0.properties_text()
    }

    /// The same for others to read.
    pub(crate) fn shown_text(&self) -> String {
        self.0.shown().properties_text()
    }

    /// Sets one value while the server runs.
    pub(crate) fn update(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        self.0.set_hot(key, value)
    }

    /// Whether a runtime update may not name this key.
    pub(crate) fn is_black(&self, key: &str) -> bool {
        NEVER_UPDATED.contains(&key) || self.0.get_str("configBlackList").split(';').any(|black| black == key)
    }

    pub(crate) fn order_message_enable(&self) -> bool {
        self.0.get_bool("orderMessageEnable")
    }

    pub(crate) fn path(&self, key: &str) -> std::path::PathBuf {
        self.0.get_str(key).into()
    }

    /// The accounts, if the settings ask for some. Blocks.
    pub(crate) fn access(&self) -> Result<Option<Access>, String> {
        let text = |key| self.0.get_str(key);
        Access::for_settings(self.0.get_bool("aclEnable"), text("aclFile"), text("rocketmqHome"))
    }

    pub(crate) fn listen_addr(&self) -> io::Result<SocketAddr> {
        let bind = self.0.get_str("bindAddress");
        let ip: IpAddr = bind
            .trim_matches(['[', ']'])
            .parse()
            .map_err(|_| io::Error::other(format!("bindAddress={bind:?} is not an IP address")))?;
        Ok(SocketAddr::new(ip, self.0.get_i32("listenPort") as u16))
    }

    pub(crate) fn remoting(&self) -> Result<RemotingConfig, TlsError> {
        let buffer = |key| Some(self.0.get_usize(key)).filter(|len| *len > 0);
        Ok(RemotingConfig {
            idle_timeout: Duration::from_secs(self.0.get_usize("serverChannelMaxIdleTimeSeconds") as u64),
            backlog: self.0.get_i32("serverSocketBacklog"),
            send_buffer: buffer("serverSocketSndBufSize"),
            receive_buffer: buffer("serverSocketRcvBufSize"),
            server_tls: ServerTls::from_settings(&self.0)?,
            ..RemotingConfig::default()
        })
    }
}
