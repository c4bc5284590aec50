//! The dialling side of TLS.
//!
//! Java counterparts: `NettyRemotingClient` with `useTLS`, `TlsHelper.buildSslContext(true)`.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::SingleCertAndKey;

use super::certificates;
use super::verifiers::LenientWithServer;
use super::{TlsError, TlsOptions, Trust};
use crate::stream::{Signalless, Stream};

const CERT: &str = "tls.client.certPath";
const KEY: &str = "tls.client.keyPath";
const KEY_PASSWORD: &str = "tls.client.keyPassword";
const TRUST: &str = "tls.client.trustCertPath";

/// Dials with TLS. Cheap to clone; its files are read once.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// Names setting (as Java calls it) and file.
    pub fn open(options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = certificates::provider();
        let algorithms = provider.signature_verification_algorithms;
        let verifier: Arc<dyn ServerCertVerifier> = match &options.trust {
            Trust::Anyone => Arc::new(LenientWithServer { algorithms, trusted: None }),
            Trust::IssuedBy { trust_cert_path: path, any_host_name } => {
                let roots = certificates::roots(TRUST, path, &certificates::read(TRUST, path)?)?;
                let trusted = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                    .build()
                    .map_err(|error| TlsError::new(TRUST, path, error))?;
                match any_host_name {
                    true => Arc::new(LenientWithServer { algorithms, trusted: Some(trusted) }),
                    false => trusted,
                }
            }
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::words)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let cert = certificates::read(CERT, &identity.cert_path)?;
                let key = certificates::read(KEY, &identity.key_path)?;
                let (cert, key) = ((CERT, &*identity.cert_path, &*cert), (KEY, &*identity.key_path, &*key));
                let password = (KEY_PASSWORD, identity.key_password.as_deref());
                let certified = certificates::certified_key(&provider, cert, key, password)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        };
        Ok(Self { config: Arc::new(config) })
    }

    /// Does the handshake with `host:port`. The caller sets the time limit.
    pub(crate) async fn connect(&self, addr: &str, tcp: TcpStream) -> io::Result<Stream> {
        let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
        let name =
            ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
        let tls = Box::pin(TlsConnector::from(self.config.clone()).connect(name, Signalless(tcp))).await?;
        Ok(Stream::Tls(Box::new(tls.into())))
    }
}

// By hand: nothing of the keys is shown.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}
