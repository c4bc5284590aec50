//! TLS by Java's settings: what they are, where they are read from, and why they are refused.
//!
//! The keys are Java's system properties, here rows of `broker.conf` and `namesrv.conf`; as in Java, a file
//! `tls.properties` overrides them. With the feature `tls` off only this file is left: settings that ask for
//! TLS are refused, the default (`permissive`) serves plain text alone. Java counterparts:
//! `TlsSystemConfig`, `TlsHelper.extractTlsConfigFromFile`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ferrocket_protocol::settings::{Setting, SettingError, Settings, parse_properties};

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod certificates;
#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod encrypted;
#[cfg(feature = "tls")]
mod self_signed;
#[cfg(feature = "tls")]
mod server;
#[cfg(feature = "tls")]
mod verifiers;

#[cfg(not(feature = "tls"))]
pub use absent::{ClientTls, ServerTls};
#[cfg(feature = "tls")]
pub use client::ClientTls;
#[cfg(feature = "tls")]
pub use server::ServerTls;

const FILE_DEFAULT: &str = "/etc/rocketmq/tls.properties";

/// The settings of a listening side.
pub const SERVER_TLS_SETTINGS: &[Setting] = &[
    Setting::one_of(
        "tls.server.mode",
        "permissive",
        &["disabled", "permissive", "enforcing"],
        "Whether a port takes TLS: never, when the peer begins with it, or nothing else.",
    ),
    Setting::boolean(
        "tls.test.mode.enable",
        true,
        "Whether TLS runs without files: a self-signed certificate, made at start, and peers unchecked.",
    ),
    Setting::text(
        "tls.config.file",
        FILE_DEFAULT,
        "Overrides the TLS settings, mode and tls.enable excepted.",
    ),
    Setting::text("tls.server.certPath", "", "The certificate and its chain, PEM."),
    Setting::text("tls.server.keyPath", "", "The certificate's private key, PEM."),
    Setting::text("tls.server.keyPassword", "", "The password of an encrypted key; never shown to tools.")
        .secret(),
    Setting::one_of(
        "tls.server.need.client.auth",
        "none",
        &["none", "optional", "require"],
        "Whether clients are asked for a certificate.",
    ),
    Setting::boolean(
        "tls.server.authClient",
        false,
        "Whether a client's certificate must be issued by one of tls.server.trustCertPath.",
    ),
    Setting::text("tls.server.trustCertPath", "", "Certificates that issue the clients' ones, PEM."),
];

/// The settings of a side that dials.
pub const CLIENT_TLS_SETTINGS: &[Setting] = &[
    Setting::one_of(
        "tls.enable",
        "auto",
        &["auto", "true", "false"],
        "Whether NameServers are dialled with TLS; auto is true when tls.server.mode is enforcing.",
    ),
    Setting::boolean(
        "tls.client.authServer",
        false,
        "Whether a server's certificate must be issued by one of tls.client.trustCertPath.",
    ),
    Setting::text("tls.client.trustCertPath", "", "Certificates that issue the servers' ones, PEM."),
    Setting::text("tls.client.certPath", "", "The certificate to show to servers, and its chain, PEM."),
    Setting::text("tls.client.keyPath", "", "The private key of tls.client.certPath, PEM."),
    Setting::text("tls.client.keyPassword", "", "The password of an encrypted key; never shown to tools.")
        .secret(),
];

/// Why there is no TLS: the key and file at fault, and the reason, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

impl TlsError {
    pub(crate) fn new(key: &str, path: &Path, reason: impl fmt::Display) -> Self {
        Self(format!("{key}={}: {reason}", path.display()))
    }

    pub(crate) fn words(words: impl fmt::Display) -> Self {
        Self(words.to_string())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

impl From<SettingError> for TlsError {
    fn from(error: SettingError) -> Self {
        Self::words(error)
    }
}

/// How a listening side takes TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTlsOptions {
    /// Whether plain text is refused.
    pub enforcing: bool,
    /// Certificate chain and key, PEM files; `None` makes a self-signed one (Java's test mode).
    pub identity: Option<Identity>,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
}

/// PEM files of a certificate chain and its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate first, then those that issued it.
    pub cert_path: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1. Encrypted it is PKCS#8 (`BEGIN ENCRYPTED PRIVATE KEY`).
    pub key_path: PathBuf,
    /// What an encrypted key is opened with.
    pub key_password: Option<String>,
}

// By hand: the password is not shown.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cert_path, key_path, key_password: _ } = self;
        f.debug_struct("Identity")
            .field("cert_path", cert_path)
            .field("key_path", key_path)
            .finish_non_exhaustive()
    }
}

/// What a listening side asks of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing.
    None,
    /// A certificate, or with `required` off perhaps none.
    Certificate {
        /// Whether a client without one is refused.
        required: bool,
        /// Who issues them; `None` takes anyone's.
        trust_cert_path: Option<PathBuf>,
    },
}

/// How a dialling side uses TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    pub(crate) trust: Trust,
    pub(crate) identity: Option<Identity>,
}

/// Whom a dialling side talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Anyone,
    IssuedBy { trust_cert_path: PathBuf, any_host_name: bool },
}

impl TlsOptions {
    /// Talks to servers whose certificate one of this PEM file's certificates issued for the dialled host
    /// name or address. Java: `tls.client.trustCertPath` with `tls.client.authServer`.
    pub fn trusting(trust_cert_path: impl Into<PathBuf>) -> Self {
        let trust = Trust::IssuedBy { trust_cert_path: trust_cert_path.into(), any_host_name: false };
        Self { trust, identity: None }
    }

    /// Talks to any server: encrypted, but not protected from someone in between. Java's default, its test
    /// mode.
    pub fn trusting_anyone() -> Self {
        Self { trust: Trust::Anyone, identity: None }
    }

    /// Takes a trusted certificate whatever host it was issued for. Java never looks at the host.
    #[must_use]
    pub fn any_host_name(mut self) -> Self {
        if let Trust::IssuedBy { any_host_name, .. } = &mut self.trust {
            *any_host_name = true;
        }
        self
    }

    /// Shows this certificate to servers that ask for one: PEM files of the chain and its private key.
    #[must_use]
    pub fn identity(mut self, cert_path: impl Into<PathBuf>, key_path: impl Into<PathBuf>) -> Self {
        let (cert_path, key_path) = (cert_path.into(), key_path.into());
        self.identity = Some(Identity { cert_path, key_path, key_password: None });
        self
    }

    /// What the key that [`TlsOptions::identity`] names is encrypted with. Java: `tls.client.keyPassword`.
    #[must_use]
    pub fn key_password(mut self, password: impl Into<String>) -> Self {
        if let Some(identity) = &mut self.identity {
            identity.key_password = Some(password.into());
        }
        self
    }
}

impl ServerTls {
    /// What these settings ask for, which hold [`SERVER_TLS_SETTINGS`]; `None` serves plain text alone.
    ///
    /// # Errors
    /// Names key and file.
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>, TlsError> {
        let mode = settings.get_str("tls.server.mode");
        let enforcing = mode == "enforcing";
        // The default asks for no more than there is.
        if mode == "disabled" || (!cfg!(feature = "tls") && !enforcing) {
            tracing::info!("TLS is off: everything goes in plain text");
            return Ok(None);
        }
        if !enforcing {
            tracing::info!("TLS is not asked for: whoever does not begin with it is served in plain text");
        }
        let settings = &with_file(settings)?;
        let path = |key| path(settings, key);
        let (cert, key) = (path("tls.server.certPath"), path("tls.server.keyPath"));
        if settings.get_bool("tls.test.mode.enable") {
            if cert.is_some() || key.is_some() {
                tracing::warn!("tls.test.mode.enable=true: tls.server.certPath and keyPath have no effect");
            }
            let options = ServerTlsOptions { enforcing, identity: None, client_auth: ClientAuth::None };
            return Self::open(&options).map(Some);
        }
        let auth_client = settings.get_bool("tls.server.authClient");
        let client_auth = match settings.get_str("tls.server.need.client.auth") {
            "none" => {
                if auth_client {
                    let key = "tls.server.need.client.auth=none";
                    tracing::warn!("{key}: tls.server.authClient=true has no effect");
                }
                ClientAuth::None
            }
            need => ClientAuth::Certificate {
                required: need == "require",
                trust_cert_path: match (auth_client, path("tls.server.trustCertPath")) {
                    (false, _) => None,
                    (true, Some(path)) => Some(path),
                    (true, None) => {
                        return Err(missing("tls.server.trustCertPath", "tls.server.authClient=true"));
                    }
                },
            },
        };
        let because = "tls.test.mode.enable=false";
        let identity = Identity {
            cert_path: cert.ok_or_else(|| missing("tls.server.certPath", because))?,
            key_path: key.ok_or_else(|| missing("tls.server.keyPath", because))?,
            key_password: text(settings, "tls.server.keyPassword"),
        };
        Self::open(&ServerTlsOptions { enforcing, identity: Some(identity), client_auth }).map(Some)
    }
}

impl ClientTls {
    /// What these settings ask for, which hold both tables; `None` dials plain. Java's rules: host names
    /// are not compared, and without `tls.client.authServer` anyone is trusted.
    ///
    /// # Errors
    /// Names key and file.
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>, TlsError> {
        let enabled = match settings.get_str("tls.enable") {
            "auto" => settings.get_str("tls.server.mode") == "enforcing",
            word => word == "true",
        };
        if !enabled {
            return Ok(None);
        }
        let settings = &with_file(settings)?;
        let path = |key| path(settings, key);
        if settings.get_bool("tls.test.mode.enable") {
            return Self::open(&TlsOptions::trusting_anyone()).map(Some);
        }
        let mut options = TlsOptions::trusting_anyone();
        if settings.get_bool("tls.client.authServer") {
            let key = "tls.client.trustCertPath";
            let trust = path(key).ok_or_else(|| missing(key, "tls.client.authServer=true"))?;
            options = TlsOptions::trusting(trust).any_host_name();
        }
        match (path("tls.client.certPath"), path("tls.client.keyPath")) {
            (Some(cert), Some(key)) => {
                options = options.identity(cert, key);
                if let Some(password) = text(settings, "tls.client.keyPassword") {
                    options = options.key_password(password);
                }
            }
            (None, None) => {}
            (Some(_), None) => return Err(missing("tls.client.keyPath", "tls.client.certPath is set")),
            (None, Some(_)) => return Err(missing("tls.client.certPath", "tls.client.keyPath is set")),
        }
        Self::open(&options).map(Some)
    }
}

/// The file a setting names, if it does.
fn path(settings: &Settings, key: &str) -> Option<PathBuf> {
    text(settings, key).map(PathBuf::from)
}

fn text(settings: &Settings, key: &str) -> Option<String> {
    Some(settings.get_str(key)).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn missing(key: &str, because: &str) -> TlsError {
    TlsError::words(format!("{key} is missing: {because} needs it"))
}

/// The settings with what `tls.config.file` overrides.
fn with_file(settings: &Settings) -> Result<Settings, TlsError> {
    let file_key = "tls.config.file";
    let path = Path::new(settings.get_str(file_key));
    let refuse = |reason: String| TlsError::new(file_key, path, reason);
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path == Path::new(FILE_DEFAULT) => {
            return Ok(settings.clone());
        }
        Err(error) => return Err(refuse(error.to_string())),
    };
    let mut settings = settings.clone();
    let pairs =
        parse_properties(&String::from_utf8_lossy(&bytes)).map_err(|error| refuse(error.to_string()))?;
    for (key, value) in pairs {
        let both = SERVER_TLS_SETTINGS.iter().chain(CLIENT_TLS_SETTINGS);
        let known = both.map(|row| row.key).any(|known| known == key);
        match &*key {
            "tls.server.mode" | "tls.enable" | "tls.config.file" => {
                tracing::warn!("{}: {key} has no effect there", path.display());
            }
            // A NameServer has no client settings, and the file may serve several processes.
            key if known && settings.table().iter().all(|row| row.key != key) => {}
            key => settings.set(key, &value).map_err(|error| refuse(error.to_string()))?,
        }
    }
    Ok(settings)
}
