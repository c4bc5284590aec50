//! TLS on a listener's port: who gets in, by which certificate, and what hostile handshakes cost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ferrocket_protocol::settings::Settings;
use ferrocket_remoting::{
    CLIENT_TLS_SETTINGS, CallError, ClientAuth, ClientTls, Connection, Identity, RefuseAll, RemotingConfig,
    SERVER_TLS_SETTINGS, ServerTls, ServerTlsOptions, TlsOptions, dial,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use crate::server::{BYTES, ECHO, SOON, Server, closes, read_frame, request, soon, write_frame};

/// An authority and a folder for what it issues.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A certificate for `host`, in PEM.
    fn certify(&self, host: &str, key: &KeyPair) -> String {
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// Certificate and key for `host`, in PEM.
    fn issue(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (self.certify(host, &key), key.serialize_pem())
    }

    /// A certificate for this host and openssl's key, which is in PEM files of several forms.
    fn certify_openssl_key(&self) -> String {
        let pem = std::fs::read_to_string(openssl_key("plain")).unwrap();
        self.certify("127.0.0.1", &KeyPair::from_pem(&pem).unwrap())
    }

    /// The same in files called `host`.
    fn identity(&self, host: &str) -> Identity {
        let (cert, key) = self.issue(host);
        let (cert_path, key_path) = (self.path(&format!("{host}.pem")), self.path(&format!("{host}.key")));
        std::fs::write(&cert_path, cert).unwrap();
        std::fs::write(&key_path, key).unwrap();
        Identity { cert_path, key_path, key_password: None }
    }
}

/// Where a key is that openssl made: one key in several forms, each with the command that made it.
fn openssl_key(form: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/keys/{form}.pem"))
}

/// What the default settings ask for.
fn test_mode() -> ServerTlsOptions {
    ServerTlsOptions { enforcing: false, identity: None, client_auth: ClientAuth::None }
}

fn with_identity(identity: Identity) -> ServerTlsOptions {
    ServerTlsOptions { enforcing: true, identity: Some(identity), client_auth: ClientAuth::None }
}

async fn serve(options: &ServerTlsOptions) -> Server {
    serve_by(ServerTls::open(options).unwrap()).await
}

async fn serve_by(tls: ServerTls) -> Server {
    Server::start(RemotingConfig { server_tls: Some(tls), ..RemotingConfig::default() }).await
}

async fn connect(server: &Server, options: &TlsOptions) -> Result<Connection, CallError> {
    let client_tls = Some(ClientTls::open(options).unwrap());
    let config = RemotingConfig { client_tls, connect_timeout: SOON, ..RemotingConfig::default() };
    dial(&server.addr.to_string(), Arc::new(RefuseAll), &config).await
}

/// Whether a peer with these options is served. Under TLS 1.3 the dialling side learns of a refusal only
/// after its own part of the handshake.
async fn served(server: &Server, options: &TlsOptions) -> bool {
    match connect(server, options).await {
        Ok(connection) => connection.call(request(ECHO, "x"), SOON).await.is_ok(),
        Err(CallError::Connect { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// The first byte decides: plain and TLS peers share a port, and frames of any size pass both ways.
#[tokio::test]
async fn plain_and_tls_share_a_port() {
    let server = serve(&test_mode()).await;
    let mut plain = server.raw().await;
    write_frame(&mut plain, 1, request(ECHO, "plain")).await;
    assert_eq!(read_frame(&mut plain, &mut BytesMut::new()).await.body, "plain");

    let secure = connect(&server, &TlsOptions::trusting_anyone()).await.unwrap();
    for len in [0, 1, 16_384, 16_385, 100_000, 5_000_000] {
        let body: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let reply = secure.call(request(ECHO, body.clone()), SOON).await.unwrap();
        assert!(reply.body == body, "{len} bytes came back differently");
    }
    // Many calls at once, whose answers are larger than what TLS holds back.
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let secure = secure.clone();
            tokio::spawn(async move { secure.call(request(BYTES, "300000"), SOON).await.unwrap().body.len() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 300_000);
    }
    secure.close();
    soon(secure.closed()).await;
}

/// Enforcing closes whoever speaks plain text; a port without TLS closes whoever speaks TLS.
#[tokio::test]
async fn enforcing_and_disabled() {
    let server = serve(&ServerTlsOptions { enforcing: true, ..test_mode() }).await;
    let mut plain = server.raw().await;
    write_frame(&mut plain, 1, request(ECHO, "plain")).await;
    assert!(closes(&mut plain).await);
    assert!(served(&server, &TlsOptions::trusting_anyone()).await);

    let server = Server::start(RemotingConfig::default()).await;
    assert!(!served(&server, &TlsOptions::trusting_anyone()).await);
}

/// A dialling side that trusts an authority talks to those whom it issued a certificate for that host.
#[tokio::test]
async fn servers_are_checked() {
    let (ours, others) = (Authority::new(), Authority::new());
    let right = serve(&with_identity(ours.identity("127.0.0.1"))).await;
    let elsewhere = serve(&with_identity(ours.identity("broker.example"))).await;
    let trusting = TlsOptions::trusting(ours.ca());
    assert!(served(&right, &trusting).await);
    assert!(!served(&elsewhere, &trusting).await);
    assert!(served(&elsewhere, &trusting.any_host_name()).await);
    for server in [&right, &elsewhere] {
        assert!(!served(server, &TlsOptions::trusting(others.ca()).any_host_name()).await);
        assert!(served(server, &TlsOptions::trusting_anyone()).await);
    }
    let error = connect(&right, &TlsOptions::trusting(others.ca())).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

/// Mutual TLS: required or not, anyone's certificate or only those of an authority.
#[tokio::test]
async fn clients_are_checked() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (known, stranger) = (ours.identity("client"), others.identity("client"));
    let none = TlsOptions::trusting_anyone();
    let known = none.clone().identity(known.cert_path, known.key_path);
    let stranger = none.clone().identity(stranger.cert_path, stranger.key_path);
    let identity = ours.identity("127.0.0.1");
    // Who is served: without a certificate, a stranger, a known one.
    for (required, trusts, expected) in [
        (true, true, [false, false, true]),
        (true, false, [false, true, true]),
        (false, true, [true, false, true]),
        (false, false, [true, true, true]),
    ] {
        let client_auth = ClientAuth::Certificate { required, trust_cert_path: trusts.then(|| ours.ca()) };
        let options = ServerTlsOptions { client_auth, ..with_identity(identity.clone()) };
        let server = serve(&options).await;
        for (client, expected) in [&none, &stranger, &known].into_iter().zip(expected) {
            assert_eq!(served(&server, client).await, expected, "{options:?} with {client:?}");
        }
    }
}

/// New files are checked before they replace the old ones; connections that are open go on.
#[tokio::test]
async fn certificates_follow_their_files() {
    let (old, new) = (Authority::new(), Authority::new());
    let identity = old.identity("127.0.0.1");
    let tls = ServerTls::open(&with_identity(identity.clone())).unwrap();
    let server = serve_by(tls.clone()).await;
    let (old_only, new_only) = (TlsOptions::trusting(old.ca()), TlsOptions::trusting(new.ca()));
    let connection = connect(&server, &old_only).await.unwrap();
    assert_eq!(tls.reload(), Ok(false));

    // A new certificate whose key has not been replaced yet, then one that is none, then none.
    let (cert, key) = new.issue("127.0.0.1");
    std::fs::write(&identity.cert_path, &cert).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("tls.server.keyPath=") && error.contains("not the key of"), "{error}");
    assert_eq!(tls.reload(), Ok(false), "each content is told of once");
    std::fs::write(&identity.cert_path, "no certificate").unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("there is no certificate in it"));
    std::fs::remove_file(&identity.cert_path).unwrap();
    assert!(tls.reload().is_err());
    assert!(served(&server, &old_only).await && !served(&server, &new_only).await);

    std::fs::write(&identity.cert_path, cert).unwrap();
    std::fs::write(&identity.key_path, key).unwrap();
    // The listener may have seen them first.
    tls.reload().unwrap();
    assert!(served(&server, &new_only).await && !served(&server, &old_only).await);
    connection.call(request(ECHO, "still here"), SOON).await.unwrap();
}

/// Keys that openssl encrypted are opened with their password, whatever cipher and hash, on both sides.
#[tokio::test]
async fn encrypted_keys_are_opened() {
    let authority = Authority::new();
    let cert_path = authority.path("openssl.pem");
    std::fs::write(&cert_path, authority.certify_openssl_key()).unwrap();
    let identity = |form: &str| Identity {
        cert_path: cert_path.clone(),
        key_path: openssl_key(form),
        key_password: Some("pass word".to_owned()),
    };
    // A password does no harm to a key that needs none.
    for form in ["openssl-3", "aes-128", "aes-192-sha1", "aes-256-sha384", "aes-256-sha512", "plain"] {
        let server = serve(&with_identity(identity(form))).await;
        assert!(served(&server, &TlsOptions::trusting(authority.ca())).await, "{form}");
    }

    let client_auth = ClientAuth::Certificate { required: true, trust_cert_path: Some(authority.ca()) };
    let server = serve(&ServerTlsOptions { client_auth, ..with_identity(identity("openssl-3")) }).await;
    let client = TlsOptions::trusting_anyone().identity(&cert_path, openssl_key("openssl-3"));
    let error = ClientTls::open(&client).unwrap_err().to_string();
    let named = error.contains("tls.client.keyPath=") && error.contains("openssl-3.pem: ");
    assert!(named && error.ends_with("tls.client.keyPassword is not set"), "{error}");
    assert!(served(&server, &client.key_password("pass word")).await);
}

/// A key that stays closed is named, and why it does.
#[test]
fn keys_that_stay_closed() {
    let authority = Authority::new();
    let cert_path = authority.path("openssl.pem");
    std::fs::write(&cert_path, authority.certify_openssl_key()).unwrap();
    let refusal = |key_path: &Path, password: &str| {
        let (cert_path, key_path) = (cert_path.clone(), key_path.to_owned());
        let key_password = Some(password.to_owned());
        let options = with_identity(Identity { cert_path, key_path, key_password });
        assert!(!format!("{options:?}").contains(password), "{options:?}");
        let error = ServerTls::open(&options).unwrap_err().to_string();
        let prefix = format!("tls.server.keyPath={}: ", options.identity.unwrap().key_path.display());
        error.strip_prefix(&prefix).unwrap_or_else(|| panic!("{error}")).to_owned()
    };
    // So many that the padding of some seems right.
    for wrong in 0..600 {
        let words = refusal(&openssl_key("openssl-3"), &format!("wrong {wrong}"));
        assert_eq!(words, "tls.server.keyPassword is not its password");
    }
    for form in ["pbes1", "scrypt", "des3", "openssl"] {
        let words = refusal(&openssl_key(&format!("unsupported-{form}")), "pass word");
        assert!(words.contains("not supported") && words.contains("openssl pkcs8 -topk8"), "{form}: {words}");
    }
    let broken = authority.path("broken.pem");
    let begin = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n";
    for text in
        ["", "MAA=\n-----END ENCRYPTED PRIVATE KEY-----\n", "MA!=\n-----END ENCRYPTED PRIVATE KEY-----\n"]
    {
        std::fs::write(&broken, format!("{begin}{text}")).unwrap();
        assert_eq!(refusal(&broken, "pass word"), "an encrypted private key that cannot be read");
    }
}

/// Reloading opens an encrypted key with the password of the start; one with another password changes nothing.
#[tokio::test]
async fn encrypted_keys_follow_their_files() {
    let (old, new) = (Authority::new(), Authority::new());
    let identity = Identity { key_password: Some("pass word".to_owned()), ..old.identity("127.0.0.1") };
    let tls = ServerTls::open(&with_identity(identity.clone())).unwrap();
    std::fs::write(&identity.cert_path, new.certify_openssl_key()).unwrap();
    std::fs::copy(openssl_key("other-password"), &identity.key_path).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.ends_with("tls.server.keyPassword is not its password"), "{error}");
    let server = serve_by(tls.clone()).await;
    assert!(served(&server, &TlsOptions::trusting(old.ca())).await);

    std::fs::copy(openssl_key("openssl-3"), &identity.key_path).unwrap();
    // The listener may have seen it first.
    tls.reload().unwrap();
    assert!(served(&server, &TlsOptions::trusting(new.ca())).await);
    assert!(!served(&server, &TlsOptions::trusting(old.ca())).await);
}

/// A start that cannot work says in one line which setting and which file.
#[test]
fn refusals_name_setting_and_file() {
    let authority = Authority::new();
    let good = authority.identity("127.0.0.1");
    let write = |name: &str, text: &str| {
        std::fs::write(authority.path(name), text).unwrap();
        authority.path(name)
    };
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let (other_key, empty) = (authority.identity("other").key_path, write("empty.pem", ""));
    let cases = [
        (authority.path("nowhere.pem"), good.key_path.clone(), "certPath", "nowhere.pem", "No such file"),
        (empty.clone(), good.key_path.clone(), "certPath", "empty.pem", "there is no certificate in it"),
        (write("garbled.pem", garbled), good.key_path.clone(), "certPath", "garbled.pem", "BadEncoding"),
        (good.cert_path.clone(), empty, "keyPath", "empty.pem", "no private key"),
        (
            good.cert_path.clone(),
            write("locked.key", locked),
            "keyPath",
            "locked.key",
            "keyPassword is not set",
        ),
        (good.cert_path.clone(), other_key, "keyPath", "other.key", "not the key of"),
    ];
    for (cert_path, key_path, setting, file, reason) in cases {
        let error = ServerTls::open(&with_identity(Identity { cert_path, key_path, key_password: None }));
        let error = error.unwrap_err().to_string();
        let named = error.contains(&format!("tls.server.{setting}=")) && error.contains(file);
        assert!(named && error.contains(reason) && !error.contains('\n'), "{error}");
    }
    let error = ClientTls::open(&TlsOptions::trusting("/nowhere/ca.pem")).unwrap_err().to_string();
    assert!(error.starts_with("tls.client.trustCertPath=/nowhere/ca.pem: "), "{error}");
}

/// Handshakes that are none, or never end, cost their own connection, of which the handler never hears.
#[tokio::test]
async fn hostile_handshakes() {
    let first_frame_timeout = Duration::from_millis(500);
    let tls = ServerTls::open(&test_mode()).unwrap();
    let config = RemotingConfig { server_tls: Some(tls), first_frame_timeout, ..RemotingConfig::default() };
    let mut server = Server::start(config).await;
    let cases: [&[u8]; 7] = [
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x01\xff\xff",
        &[0x16; 70_000],
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00",
        b"\x16\x02\x00\x00\x02\x01\x00",
        b"",
    ];
    for bytes in cases {
        let mut hostile = server.raw().await;
        // Closed while it still writes, perhaps.
        let _ = hostile.write_all(bytes).await;
        let mut rest = Vec::new();
        // An alert may come first.
        let _ = soon(hostile.read_to_end(&mut rest)).await;
    }
    // A whole handshake, and then nothing: the limit is the first frame's.
    let silent = connect(&server, &TlsOptions::trusting_anyone()).await.unwrap();
    soon(silent.closed()).await;
    let opened = soon(server.events.opened.recv()).await.unwrap();
    assert_eq!(soon(server.events.closed.recv()).await, Some(opened.id()));
    assert!(server.events.opened.try_recv().is_err() && server.events.closed.try_recv().is_err());
    assert!(served(&server, &TlsOptions::trusting_anyone()).await);
}

/// A peer that reads nothing through TLS is given up as one that reads nothing in plain text.
#[tokio::test]
async fn stalled_tls_reader_is_closed() {
    let authority = Authority::new();
    let tls = ServerTls::open(&with_identity(authority.identity("localhost"))).unwrap();
    let write_stall = Duration::from_millis(300);
    let config = RemotingConfig { server_tls: Some(tls), write_stall, ..RemotingConfig::default() };
    let mut server = Server::start(config).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut peer = TlsConnector::from(Arc::new(client)).connect(name, server.raw().await).await.unwrap();
    for _ in 0..8 {
        let frame = ferrocket_protocol::frame::to_bytes(&request(BYTES, "8000000"));
        peer.write_all(&frame).await.unwrap();
    }
    let opened = soon(server.events.opened.recv()).await.unwrap();
    assert_eq!(soon(server.events.closed.recv()).await, Some(opened.id()));
}

/// Stopping does not wait for handshakes.
#[tokio::test]
async fn stop_ends_handshakes() {
    let server = serve(&test_mode()).await;
    let mut half = server.raw().await;
    half.write_all(b"\x16\x03\x01").await.unwrap();
    // Accepted once a later connection is served.
    assert!(served(&server, &TlsOptions::trusting_anyone()).await);
    let (stopped, _) = server.stop();
    soon(stopped).await.unwrap();
}

fn settings(table: &'static [ferrocket_protocol::settings::Setting], pairs: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::from_table(table);
    for (key, value) in pairs {
        settings.set(key, value).unwrap();
    }
    settings
}

/// Java's settings, and the file that overrides them.
#[test]
fn java_settings() {
    let authority = Authority::new();
    let identity = authority.identity("127.0.0.1");
    let server = |pairs: &[(&str, &str)]| {
        let opened = ServerTls::from_settings(&settings(SERVER_TLS_SETTINGS, pairs));
        opened.map(|tls| tls.map(|tls| format!("{tls:?}"))).map_err(|error| error.to_string())
    };
    assert_eq!(server(&[("tls.server.mode", "disabled")]), Ok(None));
    let shown = server(&[]).unwrap().unwrap();
    assert!(shown.contains("enforcing: false") && shown.contains("identity: None"), "{shown}");
    let error = server(&[("tls.test.mode.enable", "false")]).unwrap_err();
    assert!(error.starts_with("tls.server.certPath is missing"), "{error}");

    let file = authority.path("tls.properties");
    let (cert, key) = (identity.cert_path.display(), identity.key_path.display());
    let text = format!(
        "tls.test.mode.enable=false\ntls.server.need.client.auth=REQUIRE\ntls.server.certPath={cert}\n\
         tls.server.keyPath={key}\ntls.client.authServer=false\ntls.server.mode=disabled\n"
    );
    std::fs::write(&file, &text).unwrap();
    let with_file = [("tls.config.file", file.to_str().unwrap()), ("tls.server.mode", "enforcing")];
    let shown = server(&with_file).unwrap().unwrap();
    assert!(shown.contains("enforcing: true") && shown.contains("required: true"), "{shown}");
    std::fs::write(&file, format!("{text}tls.server.authClient=true\n")).unwrap();
    let error = server(&with_file).unwrap_err();
    assert!(error.starts_with("tls.server.trustCertPath is missing"), "{error}");
    std::fs::write(&file, "tls.server.need.client.auth=sometimes\n").unwrap();
    let error = server(&with_file).unwrap_err();
    assert!(error.contains("tls.properties: tls.server.need.client.auth=\"sometimes\""), "{error}");
    let error = server(&[("tls.config.file", "/nowhere/tls.properties")]).unwrap_err();
    assert!(error.starts_with("tls.config.file=/nowhere/tls.properties: "), "{error}");

    let text = format!(
        "tls.test.mode.enable=false\ntls.server.certPath={cert}\ntls.server.keyPath={}\n\
         tls.server.keyPassword=wrong\n",
        openssl_key("openssl-3").display()
    );
    std::fs::write(&file, text).unwrap();
    let error = server(&with_file).unwrap_err();
    assert!(error.ends_with("tls.server.keyPassword is not its password"), "{error}");

    let both: &'static [_] = Vec::leak([SERVER_TLS_SETTINGS, CLIENT_TLS_SETTINGS].concat());
    let client = |pairs: &[(&str, &str)]| ClientTls::from_settings(&settings(both, pairs));
    assert!(client(&[]).unwrap().is_none());
    assert!(client(&[("tls.server.mode", "enforcing")]).unwrap().is_some());
    assert!(client(&[("tls.server.mode", "enforcing"), ("tls.enable", "false")]).unwrap().is_none());
    let strict =
        [("tls.enable", "true"), ("tls.test.mode.enable", "false"), ("tls.client.authServer", "true")];
    let error = client(&strict).unwrap_err().to_string();
    assert!(error.starts_with("tls.client.trustCertPath is missing"), "{error}");
    let (cert, key) = (identity.cert_path.to_str().unwrap(), openssl_key("openssl-3"));
    let mut pairs = vec![
        ("tls.enable", "true"),
        ("tls.test.mode.enable", "false"),
        ("tls.client.certPath", cert),
        ("tls.client.keyPath", key.to_str().unwrap()),
    ];
    assert!(client(&pairs).unwrap_err().to_string().ends_with("tls.client.keyPassword is not set"));
    pairs.push(("tls.client.keyPassword", "wrong"));
    assert!(client(&pairs).unwrap_err().to_string().ends_with("tls.client.keyPassword is not its password"));
}
