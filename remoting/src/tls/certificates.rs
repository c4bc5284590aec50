//! Certificates and keys: PEM files into what rustls takes, checked.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore};

use super::TlsError;
use super::encrypted::{self, OpenError};

/// A longer file is no certificate.
const FILE_LEN_MAX: usize = 1 << 20;

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

pub(super) fn read(key: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let bytes = std::fs::read(path).map_err(|error| TlsError::new(key, path, error))?;
    if bytes.len() > FILE_LEN_MAX {
        return Err(TlsError::new(key, path, "longer than any certificate or key"));
    }
    Ok(bytes)
}

pub(super) fn certificates(
    key: &str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let parsed = parsed.map_err(|error| TlsError::new(key, path, format!("not PEM: {error:?}")))?;
    if parsed.is_empty() {
        return Err(TlsError::new(key, path, "there is no certificate in it"));
    }
    Ok(parsed)
}

pub(super) fn roots(key: &str, path: &Path, pem: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, path, pem)? {
        roots.add(certificate).map_err(|error| TlsError::new(key, path, error))?;
    }
    Ok(Arc::new(roots))
}

/// The setting that names a file, its path, and what it holds.
type PemFile<'a> = (&'static str, &'a Path, &'a [u8]);
/// The setting of a key's password, and the password.
type KeyPassword<'a> = (&'static str, Option<&'a str>);

/// Certificate chain and key, if they belong together.
pub(super) fn certified_key(
    provider: &CryptoProvider,
    (setting, path, pem): PemFile<'_>,
    (key_setting, key_path, key_pem): PemFile<'_>,
    (password_setting, password): KeyPassword<'_>,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(setting, path, pem)?;
    let refuse_key = |reason: String| TlsError::new(key_setting, key_path, reason);
    let key = match encrypted::find(key_pem).map_err(|error| refuse_key(error.to_string()))? {
        None => PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|error| refuse_key(format!("no private key in PEM: {error:?}")))?,
        Some(encrypted) => {
            let password = password
                .ok_or_else(|| refuse_key(format!("encrypted, and {password_setting} is not set")))?;
            let plain = encrypted.open(password).map_err(|error| match error {
                OpenError::Password => refuse_key(format!("{password_setting} is not its password")),
                error => refuse_key(error.to_string()),
            })?;
            PrivatePkcs8KeyDer::from(plain).into()
        }
    };
    let key = provider.key_provider.load_private_key(key).map_err(|error| refuse_key(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        // A form that rustls does not read, such as version 1, which the peers may still accept.
        Err(Error::InvalidCertificate(CertificateError::Other(error))) => {
            tracing::warn!("{setting}={}: {error}; not compared with its key", path.display());
            Ok(certified)
        }
        Err(Error::InconsistentKeys(_)) => {
            Err(refuse_key(format!("not the key of {setting}={}", path.display())))
        }
        Err(error) => Err(TlsError::new(setting, path, error)),
    }
}
