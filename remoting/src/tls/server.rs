//! The listening side of TLS: the first byte decides, and certificates follow their files.
//!
//! Java counterparts: `NettyRemotingServer.HandshakeHandler` and `loadSslContext`, `FileWatchService`.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::SingleCertAndKey;

use super::certificates;
use super::verifiers::LenientWithClient;
use super::{ClientAuth, ServerTlsOptions, TlsError, self_signed};
use crate::connection::lock;
use crate::stream::{Signalless, Stream};

/// The first byte of a TLS handshake. A frame that began with it would have 369 MB.
const HANDSHAKE: u8 = 0x16;
/// Most handshakes under way at once; one holds up to 64 KiB. More are closed. Larger than what one address
/// may have open, so that none shuts all others out.
const HANDSHAKES_MAX: usize = 4_096;
/// How often the files are looked at. Java: 500 ms.
const LOOK_EVERY: Duration = Duration::from_secs(2);

const CERT: &str = "tls.server.certPath";
const KEY: &str = "tls.server.keyPath";
const KEY_PASSWORD: &str = "tls.server.keyPassword";
const TRUST: &str = "tls.server.trustCertPath";

/// Takes TLS on a listener's port. Cheap to clone; clones share certificates and limits.
#[derive(Clone, Debug)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

struct Shared {
    options: ServerTlsOptions,
    provider: Arc<CryptoProvider>,
    /// What new connections get. Held to exchange and to clone the pointer.
    current: Mutex<Arc<ServerConfig>>,
    /// The digest of the files last looked at, so that each content is tried and told of once.
    seen: Mutex<u64>,
    handshakes: Semaphore,
}

/// The bytes of the files.
#[derive(Default, Hash)]
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    trust: Vec<u8>,
}

impl Files {
    fn read(options: &ServerTlsOptions) -> Result<Self, TlsError> {
        let mut files = Self::default();
        if let Some(identity) = &options.identity {
            files.cert = certificates::read(CERT, &identity.cert_path)?;
            files.key = certificates::read(KEY, &identity.key_path)?;
        }
        if let ClientAuth::Certificate { trust_cert_path: Some(path), .. } = &options.client_auth {
            files.trust = certificates::read(TRUST, path)?;
        }
        Ok(files)
    }

    fn config(
        &self,
        options: &ServerTlsOptions,
        provider: &Arc<CryptoProvider>,
    ) -> Result<ServerConfig, TlsError> {
        let certified = match &options.identity {
            None => self_signed::certified_key(provider)?,
            Some(identity) => {
                let cert = (CERT, &*identity.cert_path, &*self.cert);
                let key = (KEY, &*identity.key_path, &*self.key);
                let password = (KEY_PASSWORD, identity.key_password.as_deref());
                certificates::certified_key(provider, cert, key, password)?
            }
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::words)?;
        Ok(builder
            .with_client_cert_verifier(self.client_verifier(options, provider)?)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
    }

    fn client_verifier(
        &self,
        options: &ServerTlsOptions,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        match &options.client_auth {
            ClientAuth::None => Ok(Arc::new(NoClientAuth)),
            ClientAuth::Certificate { required, trust_cert_path: None } => {
                let algorithms = provider.signature_verification_algorithms;
                Ok(Arc::new(LenientWithClient { algorithms, required: *required }))
            }
            ClientAuth::Certificate { required, trust_cert_path: Some(path) } => {
                let roots = certificates::roots(TRUST, path, &self.trust)?;
                let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
                if !required {
                    builder = builder.allow_unauthenticated();
                }
                Ok(builder.build().map_err(|error| TlsError::new(TRUST, path, error))?)
            }
        }
    }
}

fn digest(files: &Result<Files, TlsError>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match files {
        Ok(files) => files.hash(&mut hasher),
        Err(error) => error.to_string().hash(&mut hasher),
    }
    hasher.finish()
}

impl ServerTls {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// Names setting and file: not readable, no certificate or key, or not each other's.
    pub fn open(options: &ServerTlsOptions) -> Result<Self, TlsError> {
        let provider = certificates::provider();
        let files = Files::read(options);
        let seen = digest(&files);
        let config = files?.config(options, &provider)?;
        let shared = Shared {
            options: options.clone(),
            provider,
            current: Mutex::new(Arc::new(config)),
            seen: Mutex::new(seen),
            handshakes: Semaphore::new(HANDSHAKES_MAX),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Looks at the files: when they changed and are good, new connections get what they hold now. What is
    /// not good changes nothing. Reads files, so not for a runtime's thread.
    ///
    /// Returns whether the certificates were replaced.
    ///
    /// # Errors
    /// As [`ServerTls::open`], once for each content.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let shared = &*self.shared;
        let files = Files::read(&shared.options);
        let digest = digest(&files);
        let mut seen = lock(&shared.seen);
        if std::mem::replace(&mut *seen, digest) == digest {
            return Ok(false);
        }
        let config = files?.config(&shared.options, &shared.provider)?;
        *lock(&shared.current) = Arc::new(config);
        Ok(true)
    }

    /// Reloads for ever, whenever the files change. Without files, as in test mode, there is nothing to do.
    pub(crate) async fn keep_current(&self) {
        let ServerTlsOptions { identity, client_auth, .. } = &self.shared.options;
        let trusts_a_file = matches!(client_auth, ClientAuth::Certificate { trust_cert_path: Some(_), .. });
        if identity.is_none() && !trusts_a_file {
            return std::future::pending().await;
        }
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let tls = self.clone();
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => tracing::info!("new TLS certificates are in use"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the TLS certificates in use are kept"),
                // The runtime ends.
                Err(error) => tracing::debug!(%error, "TLS certificates were not looked at"),
            }
        }
    }

    /// Waits for the first byte and does the handshake if it begins one. The caller sets the time limit.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> io::Result<Stream> {
        let mut first = [0];
        let len = tcp.peek(&mut first).await?;
        if len == 0 || first != [HANDSHAKE] {
            if len > 0 && self.shared.options.enforcing {
                return Err(io::Error::other("plain text, and tls.server.mode is enforcing"));
            }
            return Ok(Stream::plain(tcp));
        }
        let Ok(_handshake) = self.shared.handshakes.try_acquire() else {
            return Err(io::Error::other("too many handshakes are under way"));
        };
        let config = lock(&self.shared.current).clone();
        // Boxed: only those who use it pay for its size.
        let tls = Box::pin(TlsAcceptor::from(config).accept(Signalless(tcp))).await?;
        Ok(Stream::Tls(Box::new(tls.into())))
    }
}

// By hand: nothing of the keys is shown.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// With as many handshakes under way as there may be, one more is closed; plain peers are not concerned, and
    /// later there is room again.
    #[tokio::test]
    async fn handshakes_have_a_limit() {
        let options = ServerTlsOptions { enforcing: false, identity: None, client_auth: ClientAuth::None };
        let tls = ServerTls::open(&options).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let accept = async |first: &[u8]| {
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            peer.write_all(first).await.unwrap();
            drop(peer);
            let accepted = tls.accept(listener.accept().await.unwrap().0).await;
            accepted.map(drop).map_err(|error| error.to_string())
        };
        let under_way = tls.shared.handshakes.try_acquire_many(HANDSHAKES_MAX as u32).unwrap();
        assert_eq!(accept(&[HANDSHAKE]).await, Err("too many handshakes are under way".to_owned()));
        assert_eq!(accept(&[0]).await, Ok(()));
        drop(under_way);
        let unfinished = accept(&[HANDSHAKE]).await.unwrap_err();
        assert!(!unfinished.contains("too many"), "{unfinished}");
        assert_eq!(tls.shared.handshakes.available_permits(), HANDSHAKES_MAX);
    }
}
