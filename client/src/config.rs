//! The settings of a client and how it is built.
//!
//! Names and defaults are Java's (`ClientConfig`, `NettyClientConfig`), in Rust's case. What concerns
//! producers and consumers is set where they are built.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use ferrocket_protocol::acl::Credentials;
use ferrocket_protocol::command::VERSION_4_9_8;
use ferrocket_protocol::{LanguageCode, SerializeType};
use ferrocket_remoting::{AddressServer, RemotingConfig, SocksProxy};
#[cfg(feature = "tls")]
use ferrocket_remoting::{ClientTls, TlsOptions};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::namespace::endpoint;
use crate::trace::TRACE_TOPIC;
use crate::validate::{MS_MAX, check_namespace, check_topic, within};

/// Where Java and this client look for NameServers that the program does not name.
const NAMESRV_ADDR_VARIABLE: &str = "NAMESRV_ADDR";
/// An address of a range that is reserved for documentation: no packet ever goes there.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// What a client was built with.
#[derive(Clone, Debug)]
pub(crate) struct ClientConfig {
    pub(crate) namesrv_addr: String,
    pub(crate) client_ip: IpAddr,
    pub(crate) instance_name: Option<String>,
    pub(crate) unit_name: Option<String>,
    pub(crate) unit_mode: bool,
    pub(crate) namespace: String,
    pub(crate) vip_channel_enabled: bool,
    pub(crate) version: i32,
    pub(crate) namesrv_domain: Option<String>,
    pub(crate) namesrv_domain_subgroup: String,
    /// Made of the two above when no address is given.
    pub(crate) discovery: Option<AddressServer>,
    pub(crate) enable_trace: bool,
    pub(crate) trace_topic: String,
    pub(crate) poll_name_server_interval: Duration,
    pub(crate) heartbeat_broker_interval: Duration,
    pub(crate) mq_client_api_timeout: Duration,
    pub(crate) language: LanguageCode,
    pub(crate) serialize_type: SerializeType,
    pub(crate) in_flight_max: usize,
    pub(crate) in_flight_bytes_max: usize,
    pub(crate) remoting: RemotingConfig,
}

impl ClientConfig {
    /// The id of a client whose instance is called so. Java: `buildMQClientId`.
    pub(crate) fn client_id(&self, instance: &str) -> String {
        match self.unit_name.as_deref().filter(|unit| !unit.trim().is_empty()) {
            Some(unit) => format!("{}@{instance}@{unit}", self.client_ip),
            None => format!("{}@{instance}", self.client_ip),
        }
    }
}

/// Sets up a [`Client`]. Obtained from [`Client::builder`].
///
/// ```
/// use std::time::Duration;
///
/// use ferrocket::Client;
///
/// let client = Client::builder("127.0.0.1:9876")
///     .instance_name("billing-1")
///     .namespace("staging")
///     .heartbeat_broker_interval(Duration::from_secs(10))
///     .build()?;
/// assert!(client.client_id().ends_with("@billing-1"));
/// # Ok::<(), ferrocket::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    pub(crate) namesrv_addr: String,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) config: ClientConfig,
    /// Access key and secret key. Beside `config.remoting`, which is replaced as a whole, as are the next ones.
    pub(crate) account: Option<Secret>,
    pub(crate) socks_proxy: Option<SocksProxy>,
    pub(crate) tls_settings: TlsSettings,
    #[cfg(feature = "tls")]
    tls: Option<TlsOptions>,
}

/// Two texts of which only the first may be shown: an account, or a key's file and its password.
#[derive(Clone, Default)]
pub(crate) struct Secret(pub(crate) String, pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = if self.1.is_empty() { "" } else { "******" };
        f.debug_tuple("Secret").field(&self.0).field(&hidden).finish()
    }
}

/// TLS as it is set by Java's keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsSettings {
    pub(crate) enable: bool,
    pub(crate) auth_server: bool,
    pub(crate) any_host_name: bool,
    pub(crate) trust_cert_path: String,
    pub(crate) cert_path: String,
    pub(crate) key: Secret,
}

impl TlsSettings {
    /// Refuses what has no effect, or needs something else.
    fn check(&self) -> Result<()> {
        let Self { enable, auth_server, any_host_name, trust_cert_path, cert_path, key } = self;
        let refuse = |text: &str| Err(Error::new(ErrorKind::Config, text));
        let is_set = *auth_server || *any_host_name || !(trust_cert_path.is_empty() && cert_path.is_empty());
        if is_set && !enable {
            return refuse("settings of TLS have no effect without useTLS=true");
        }
        if *auth_server && trust_cert_path.is_empty() {
            return refuse("tls.client.trustCertPath is missing: tls.client.authServer=true needs it");
        }
        if !auth_server && (*any_host_name || !trust_cert_path.is_empty()) {
            let text =
                "tls.client.trustCertPath and anyHostName have no effect without tls.client.authServer=true";
            return refuse(text);
        }
        if cert_path.is_empty() != key.0.is_empty() {
            return refuse("tls.client.certPath and tls.client.keyPath need each other");
        }
        if key.0.is_empty() && !key.1.is_empty() {
            return refuse("tls.client.keyPassword has no effect without tls.client.keyPath");
        }
        if *enable && !cfg!(feature = "tls") {
            return refuse("useTLS=true: this build has no TLS (feature `tls`)");
        }
        Ok(())
    }

    #[cfg(feature = "tls")]
    fn options(&self) -> Option<TlsOptions> {
        let options = match (self.auth_server, self.any_host_name) {
            _ if !self.enable => return None,
            (false, _) => TlsOptions::trusting_anyone(),
            (true, false) => TlsOptions::trusting(&self.trust_cert_path),
            (true, true) => TlsOptions::trusting(&self.trust_cert_path).any_host_name(),
        };
        let Secret(key_path, password) = &self.key;
        let options = match &*self.cert_path {
            "" => options,
            cert_path => options.identity(cert_path, key_path),
        };
        Some(if password.is_empty() { options } else { options.key_password(password) })
    }
}

impl ClientBuilder {
    pub(crate) fn new(namesrv_addr: &str) -> Self {
        let config = ClientConfig {
            namesrv_addr: String::new(),
            client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            instance_name: None,
            unit_name: None,
            unit_mode: false,
            namespace: String::new(),
            vip_channel_enabled: false,
            version: VERSION_4_9_8,
            namesrv_domain: None,
            namesrv_domain_subgroup: "nsaddr".to_owned(),
            discovery: None,
            enable_trace: false,
            trace_topic: TRACE_TOPIC.to_owned(),
            poll_name_server_interval: Duration::from_secs(30),
            heartbeat_broker_interval: Duration::from_secs(30),
            mq_client_api_timeout: Duration::from_secs(3),
            language: LanguageCode::JAVA,
            serialize_type: SerializeType::Json,
            in_flight_max: 10_000,
            in_flight_bytes_max: 100 << 20,
            remoting: RemotingConfig::default(),
        };
        Self {
            namesrv_addr: namesrv_addr.to_owned(),
            client_ip: None,
            config,
            account: None,
            socks_proxy: None,
            tls_settings: TlsSettings::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// `clientIP`: the address in the client id and in message ids. Default: that of the interface which
    /// leads to the first NameServer.
    pub fn client_ip(mut self, ip: IpAddr) -> Self {
        self.client_ip = Some(ip);
        self
    }

    /// `instanceName`: the part of the client id after `@`. Default: process id and start time.
    ///
    /// Brokers tell clients apart by their id: two clients of one group must not share it.
    pub fn instance_name(mut self, name: impl Into<String>) -> Self {
        self.config.instance_name = Some(name.into());
        self
    }

    /// The account that signs every request, for clusters with access control (ACL 1.0). Default: none.
    ///
    /// ```
    /// use ferrocket::Client;
    ///
    /// let secret = std::env::var("ROCKETMQ_SECRET_KEY").unwrap_or_default();
    /// # let secret = "12345678".to_owned();
    /// let client = Client::builder("127.0.0.1:9876").acl("order-service", secret).build()?;
    /// # Ok::<(), ferrocket::Error>(())
    /// ```
    pub fn acl(mut self, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        self.account = Some(Secret(access_key.into(), secret_key.into()));
        self
    }

    /// The same by halves, where nothing is none.
    pub(crate) fn account(mut self, change: impl FnOnce(&mut Secret)) -> Self {
        let mut account = self.account.take().unwrap_or_default();
        change(&mut account);
        self.account =
            Some(account).filter(|Secret(access, secret)| !(access.is_empty() && secret.is_empty()));
        self
    }

    /// `unitMode`: tells brokers that the client belongs to one unit of several. Default no.
    pub fn unit_mode(mut self, unit_mode: bool) -> Self {
        self.config.unit_mode = unit_mode;
        self
    }

    /// `namespace`: put before the names of topics and groups on their way to the cluster, `namespace%name`, and
    /// taken away on their way back. System topics and topics of replies are everybody's. Default: none, or the
    /// instance that the NameServers' address names (`http://MQ_INST_x_y.domain:port`).
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// // One cluster for two stages: the cluster knows this topic as `staging%Orders`.
    /// let staging = cluster.client().namespace("staging").build()?;
    /// let producer = staging.producer("order-service").start().await?;
    /// let sent = producer.send(Message::new("Orders", "paid")).await?;
    /// assert_eq!(sent.message_queue.topic, "Orders");
    /// assert!(client.admin().topics().await?.contains("staging%Orders"));
    /// # staging.shutdown().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.config.namespace = namespace.into();
        self
    }

    /// `vipChannelEnabled`: sends to the brokers' second port, which is two below the first. Default no.
    pub fn vip_channel_enabled(mut self, enable: bool) -> Self {
        self.config.vip_channel_enabled = enable;
        self
    }

    /// The version that peers are told, Java's ordinal of `MQVersion.Version`. Default 409, which is 4.9.8.
    /// Servers go by it: a NameServer writes JSON that is strict from 401 on.
    pub fn version(mut self, version: i32) -> Self {
        self.config.version = version;
        self
    }

    /// `rocketmq.namesrv.domain`: the web server that knows where the NameServers are, `host` or `host:port`
    /// (8080 without port). Asked for `/rocketmq/nsaddr` when no address is given: before the first route is
    /// needed, every two minutes, and when no NameServer answers. With a unit name, for that unit's.
    /// Default: none, where Java asks `jmenv.tbsite.net`.
    ///
    /// ```
    /// use ferrocket::Client;
    ///
    /// // GET http://config.example.com:8080/rocketmq/nsaddr answers the NameServers' addresses.
    /// let client = Client::builder("").namesrv_domain("config.example.com:8080").build()?;
    /// # Ok::<(), ferrocket::Error>(())
    /// ```
    pub fn namesrv_domain(mut self, domain: impl Into<String>) -> Self {
        self.config.namesrv_domain = Some(domain.into());
        self
    }

    /// `rocketmq.namesrv.domain.subgroup`: the last part of that path. Default `nsaddr`.
    pub fn namesrv_domain_subgroup(mut self, subgroup: impl Into<String>) -> Self {
        self.config.namesrv_domain_subgroup = subgroup.into();
        self
    }

    /// `socksProxyConfig`: dials NameServers and brokers through a SOCKS5 proxy, which also resolves their
    /// names. Default: none. Java 5 may have several, by the peers' addresses.
    ///
    /// ```
    /// use ferrocket::{Client, SocksProxy};
    ///
    /// let proxy = SocksProxy::new("127.0.0.1:1080").login("user", "password");
    /// let client = Client::builder("127.0.0.1:9876").socks_proxy(proxy).build()?;
    /// # Ok::<(), ferrocket::Error>(())
    /// ```
    pub fn socks_proxy(mut self, proxy: SocksProxy) -> Self {
        self.socks_proxy = Some(proxy);
        self
    }

    /// `enableTrace`: whether what this client sends and consumes, and how transactions end, is recorded in the
    /// trace topic, where `mqadmin queryMsgTraceById` finds it. Default no. Brokers must have the topic
    /// (`traceTopicEnable`, or a topic of your own). Java 4.9: `enableMsgTrace` of each producer and consumer.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let client = cluster.client().enable_trace(true).build()?;
    /// let producer = client.producer("order-service").start().await?;
    /// let sent = producer.send(Message::new("Orders", "paid")).await?;
    /// // mqadmin queryMsgTraceById -i <id> tells what became of it.
    /// println!("{}", sent.msg_id);
    /// # client.shutdown().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn enable_trace(mut self, enable: bool) -> Self {
        self.config.enable_trace = enable;
        self
    }

    /// `traceTopic`: the topic of traces. Default `RMQ_SYS_TRACE_TOPIC`. Java 4.9: `customizedTraceTopic`.
    pub fn trace_topic(mut self, topic: impl Into<String>) -> Self {
        self.config.trace_topic = topic.into();
        self
    }

    /// `unitName`: appended to the client id. Default: none.
    pub fn unit_name(mut self, name: impl Into<String>) -> Self {
        self.config.unit_name = Some(name.into());
        self
    }

    /// `pollNameServerInterval`: time between two refreshes of all routes. Default 30 s.
    pub fn poll_name_server_interval(mut self, interval: Duration) -> Self {
        self.config.poll_name_server_interval = interval;
        self
    }

    /// `heartbeatBrokerInterval`: time between two heartbeats to all brokers. Default 30 s.
    pub fn heartbeat_broker_interval(mut self, interval: Duration) -> Self {
        self.config.heartbeat_broker_interval = interval;
        self
    }

    /// `mqClientApiTimeout`: how long one call takes at most, other than sends and pulls. Default 3 s.
    pub fn mq_client_api_timeout(mut self, timeout: Duration) -> Self {
        self.config.mq_client_api_timeout = timeout;
        self
    }

    /// `language`: what brokers are told the client is written in. Default `JAVA`: Java brokers before
    /// 4.9.2 do not know `RUST`, and fail on it in some of their tools.
    pub fn language(mut self, language: LanguageCode) -> Self {
        self.config.language = language;
        self
    }

    /// How headers are written. Default JSON, as in Java; the binary form is shorter.
    pub fn serialize_type(mut self, serialize_type: SerializeType) -> Self {
        self.config.serialize_type = serialize_type;
        self
    }

    /// `backPressureForAsyncSendNum`: most messages under way at once, over all producers of the client;
    /// further sends wait. Default 10,000. To each broker fewer may be under way: as many as it answers quickly.
    ///
    /// ```
    /// use ferrocket::Client;
    ///
    /// // A small service: further sends wait until some of these are stored.
    /// let client = Client::builder("127.0.0.1:9876").in_flight_max(500).in_flight_bytes_max(8 << 20).build()?;
    /// # Ok::<(), ferrocket::Error>(())
    /// ```
    pub fn in_flight_max(mut self, messages: usize) -> Self {
        self.config.in_flight_max = messages;
        self
    }

    /// `backPressureForAsyncSendSize`: most bytes of messages under way at once, over all producers of the
    /// client; further sends wait. Default 100 MiB.
    pub fn in_flight_bytes_max(mut self, bytes: usize) -> Self {
        self.config.in_flight_bytes_max = bytes;
        self
    }

    /// Limits and times of the connections, see [`RemotingConfig`]. An account, a proxy and TLS that are set on this
    /// builder, before or after, come before those in it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::{Client, RemotingConfig};
    ///
    /// let remoting = RemotingConfig { connect_timeout: Duration::from_secs(1), ..RemotingConfig::default() };
    /// let client = Client::builder("127.0.0.1:9876").remoting(remoting).build()?;
    /// # Ok::<(), ferrocket::Error>(())
    /// ```
    pub fn remoting(mut self, remoting: RemotingConfig) -> Self {
        self.config.remoting = remoting;
        self
    }

    /// `useTLS`: talks to NameServers and brokers through TLS, and to none in plain text. Default: plain text.
    ///
    /// ```
    /// use ferrocket::{Client, TlsOptions};
    ///
    /// # fn connect() -> ferrocket::Result<()> {
    /// let tls = TlsOptions::trusting("ca.pem").identity("client.pem", "client.key");
    /// let client = Client::builder("127.0.0.1:9876").tls(tls).build()?;
    /// # Ok(()) }
    /// # // There are no such files here.
    /// # assert_eq!(connect().unwrap_err().kind(), ferrocket::ErrorKind::Config);
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.tls = Some(options);
        self
    }

    /// The client. Connects to nothing yet, but reads the files of TLS.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::{Client, ErrorKind};
    ///
    /// let error = Client::builder("127.0.0.1:9876").poll_name_server_interval(Duration::ZERO).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// assert!(error.to_string().starts_with("poll_name_server_interval (ms) is 0"), "{error}");
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for addresses that are none, the proxy's as well, half an account, zero limits, times or
    /// intervals, those in [`RemotingConfig`] as well, files that hold no certificate or key, and for an empty list of
    /// NameServers without the environment variable `NAMESRV_ADDR` and without [`namesrv_domain`](Self::namesrv_domain).
    pub fn build(self) -> Result<Client> {
        self.tls_settings.check()?;
        #[cfg(feature = "tls")]
        let tls = self.tls.or_else(|| self.tls_settings.options());
        let Self { mut namesrv_addr, client_ip, mut config, account, socks_proxy, .. } = self;
        if let Some(Secret(access_key, secret_key)) = account {
            if access_key.is_empty() || secret_key.is_empty() {
                return Err(Error::new(ErrorKind::Config, "accessKey and secretKey need each other"));
            }
            config.remoting.credentials = Some(Credentials::new(access_key, secret_key));
        }
        if let Some(proxy) = socks_proxy {
            config.remoting.socks_proxy = Some(proxy);
        }
        #[cfg(feature = "tls")]
        if let Some(options) = tls {
            let tls = ClientTls::open(&options)
                .map_err(|error| Error::new(ErrorKind::Config, error.to_string()))?;
            config.remoting.client_tls = Some(tls);
        }
        if namesrv_addr.trim().is_empty() {
            namesrv_addr = std::env::var(NAMESRV_ADDR_VARIABLE).unwrap_or_default();
        }
        let (addr, instance) = endpoint(&namesrv_addr);
        if let Some(instance) = instance.filter(|_| config.namespace.is_empty()) {
            config.namespace = instance.to_owned();
        }
        let namesrv_addr = addr.to_owned();
        check_namespace(&config.namespace)?;
        if let Some(domain) = config.namesrv_domain.as_deref().filter(|_| namesrv_addr.trim().is_empty()) {
            let unit_name = config.unit_name.as_deref();
            let subgroup = &config.namesrv_domain_subgroup;
            let server = AddressServer::new(domain, subgroup, unit_name).ok_or_else(|| {
                let text =
                    format!("namesrv_domain {domain:?}, subgroup {subgroup:?} and unit_name make no URL");
                Error::new(ErrorKind::Config, text)
            })?;
            config.discovery = Some(server);
        }
        for (name, value, max) in [
            ("poll_name_server_interval (ms)", config.poll_name_server_interval.as_millis(), MS_MAX),
            ("heartbeat_broker_interval (ms)", config.heartbeat_broker_interval.as_millis(), MS_MAX),
            ("mq_client_api_timeout (ms)", config.mq_client_api_timeout.as_millis(), MS_MAX),
            ("remoting.connect_timeout (ms)", config.remoting.connect_timeout.as_millis(), MS_MAX),
            ("remoting.write_stall (ms)", config.remoting.write_stall.as_millis(), MS_MAX),
            // What systems take.
            ("remoting.keepalive (s)", config.remoting.keepalive.as_secs().into(), 32_767),
            ("remoting.calls_max", config.remoting.calls_max as u128, u128::MAX),
            ("in_flight_max", config.in_flight_max as u128, u128::MAX),
            ("in_flight_bytes_max", config.in_flight_bytes_max as u128, u128::MAX),
        ] {
            within(name, value, 1, max)?;
        }
        if let Some(proxy) = &config.remoting.socks_proxy {
            proxy.check().map_err(|error| Error::new(ErrorKind::Config, format!("socks_proxy: {error}")))?;
        }
        if config.enable_trace {
            check_topic(&config.trace_topic)?;
        }
        // A frame that finds no room waits outside the connection's queue, where order is lost. What producers
        // may have under way fits therefore always; header text can be somewhat longer than what it encodes.
        let room = config.in_flight_bytes_max.saturating_mul(2);
        config.remoting.write_pending_max = config.remoting.write_pending_max.max(room);
        config.client_ip = client_ip.unwrap_or_else(|| local_ip(&namesrv_addr));
        config.namesrv_addr = namesrv_addr;
        Client::from_config(config)
    }
}

/// The address of the interface that leads to the first NameServer, or anywhere; nothing is sent.
fn local_ip(namesrv_addr: &str) -> IpAddr {
    let first = namesrv_addr.split([';', ',']).next().and_then(|addr| addr.trim().parse().ok());
    let towards = |to: SocketAddr| {
        let from: IpAddr = if to.is_ipv6() { [0u16; 8].into() } else { [0u8; 4].into() };
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
    };
    first.and_then(towards).or_else(|| towards(NOWHERE)).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cannot work is refused when the client is built, by name.
    #[test]
    fn settings_are_checked() {
        let error = ClientBuilder::new("ns:9876").in_flight_max(0).build().unwrap_err();
        assert_eq!((error.kind(), error.to_string().contains("in_flight_max")), (ErrorKind::Config, true));
        // No clock goes that far.
        let error =
            ClientBuilder::new("ns:9876").heartbeat_broker_interval(Duration::MAX).build().unwrap_err();
        assert!(error.to_string().contains("heartbeat_broker_interval"), "{error}");
        assert_eq!(ClientBuilder::new("no port").build().unwrap_err().kind(), ErrorKind::Config);
        let remoting = |change: fn(&mut RemotingConfig)| {
            let mut remoting = RemotingConfig::default();
            change(&mut remoting);
            ClientBuilder::new("ns:9876").remoting(remoting)
        };
        let proxy = |proxy: SocksProxy| ClientBuilder::new("ns:9876").socks_proxy(proxy);
        for (builder, named) in [
            (
                remoting(|set| set.connect_timeout = Duration::ZERO),
                "remoting.connect_timeout (ms) is 0, it must be from 1 to",
            ),
            (remoting(|set| set.calls_max = 0), "remoting.calls_max is 0, it must be at least 1"),
            (remoting(|set| set.keepalive = Duration::MAX), "remoting.keepalive (s)"),
            (proxy(SocksProxy::new("no-port")), "socks_proxy: the address is not of the form host:port"),
            (
                proxy(SocksProxy::new("h:1").login("n".repeat(256), "p")),
                "socks_proxy: the SOCKS user name must have 1 to 255 bytes",
            ),
            (proxy(SocksProxy::new("h:1").login("n", "")), "the SOCKS password must have 1 to 255 bytes"),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string().contains(named)),
                (ErrorKind::Config, true),
                "{error}"
            );
        }
    }

    /// Account and proxy are used whether the limits of connections are set before or after, and come before those
    /// that are set with the limits; half an account is none.
    #[test]
    fn the_order_of_calls_does_not_matter() {
        let own =
            RemotingConfig { socks_proxy: Some(SocksProxy::new("other:1")), ..RemotingConfig::default() };
        let builder = || ClientBuilder::new("127.0.0.1:9876");
        let set =
            |builder: ClientBuilder| builder.acl("me", "secret").socks_proxy(SocksProxy::new("proxy:1080"));
        for builder in [set(builder()).remoting(own.clone()), set(builder().remoting(own.clone()))] {
            let client = builder.build().unwrap();
            let remoting = &client.config().remoting;
            assert!(remoting.credentials.is_some());
            assert_eq!(remoting.socks_proxy, Some(SocksProxy::new("proxy:1080")));
        }
        let client = builder().remoting(own.clone()).build().unwrap();
        assert_eq!(client.config().remoting.socks_proxy, own.socks_proxy);
        for (access_key, secret_key) in [("me", ""), ("", "secret"), ("", "")] {
            let error = builder().acl(access_key, secret_key).build().unwrap_err();
            assert!(error.to_string().contains("accessKey"), "{error}");
        }
    }

    /// The client's address is one that peers on the NameServer's network can see.
    #[test]
    fn the_local_address_leads_to_the_name_server() {
        assert_eq!(local_ip("127.0.0.1:9876;10.0.0.1:9876"), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
