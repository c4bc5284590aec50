//! Dialling through a SOCKS5 proxy (RFC 1928, 1929).
//!
//! Names are resolved by the proxy. Java counterparts: `SocksProxyConfig` of 5.x and Netty's `Socks5ProxyHandler`.

use std::fmt;
use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USERNAME_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const DOMAIN: u8 = 3;
const IPV6: u8 = 4;
/// What the answer's first byte says, by number (RFC 1928, section 6).
const REASONS: [&str; 9] = [
    "succeeded",
    "general failure",
    "not allowed",
    "network unreachable",
    "host unreachable",
    "connection refused",
    "time to live expired",
    "command not supported",
    "address type not supported",
];

/// A SOCKS5 proxy that all connections are dialled through.
#[derive(Clone, PartialEq, Eq)]
pub struct SocksProxy {
    addr: String,
    account: Option<(String, String)>,
}

impl SocksProxy {
    /// The proxy at `host:port`.
    pub fn new(addr: impl Into<String>) -> Self {
        Self { addr: addr.into(), account: None }
    }

    /// Logs in with this name and password, each of 1 to 255 bytes. Default: without.
    pub fn login(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.account = Some((username.into(), password.into()));
        self
    }

    /// Whether it could be used at all: an address with a port, and a login whose parts can be sent.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self) -> io::Result<()> {
        request(&self.addr)?;
        self.account.as_ref().map(login).transpose().map(drop)
    }

    /// A connection to `target` (`host:port`). Whatever is wrong with the proxy names it.
    pub(crate) async fn connect(&self, target: &str) -> io::Result<TcpStream> {
        let request = request(target)?;
        let login = self.account.as_ref().map(login).transpose()?;
        let through = self.negotiate(&request, login.as_deref()).await;
        through.map_err(|error| io::Error::new(error.kind(), format!("SOCKS proxy {}: {error}", self.addr)))
    }

    async fn negotiate(&self, request: &[u8], login: Option<&[u8]>) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.addr).await?;
        let method = if login.is_some() { USERNAME_PASSWORD } else { NO_AUTHENTICATION };
        stream.write_all(&[VERSION, 1, method]).await?;
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await?;
        if chosen != [VERSION, method] {
            return Err(refused("it wants another way to log in"));
        }
        if let Some(login) = login {
            stream.write_all(login).await?;
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await?;
            if answer[1] != 0 {
                return Err(refused("it does not accept the account"));
            }
        }
        stream.write_all(request).await?;
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let [_, code, _, kind] = head;
        if code != 0 {
            return Err(refused(REASONS.get(usize::from(code)).copied().unwrap_or("unknown reason")));
        }
        // The address that the proxy uses towards the target, and its port: nobody needs it.
        let len = match kind {
            IPV4 => 4,
            IPV6 => 16,
            DOMAIN => usize::from(stream.read_u8().await?),
            _ => return Err(refused("its answer cannot be read")),
        };
        stream.read_exact(&mut [0; 257][..len + 2]).await?;
        Ok(stream)
    }
}

impl fmt::Debug for SocksProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.account.as_ref().map(|(name, _)| name);
        f.debug_struct("SocksProxy")
            .field("addr", &self.addr)
            .field("username", &name)
            .finish_non_exhaustive()
    }
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, reason)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// A text of 1 to 255 bytes behind its length.
fn push(out: &mut Vec<u8>, text: &str, what: &str) -> io::Result<()> {
    let len = u8::try_from(text.len()).ok().filter(|len| *len > 0).ok_or_else(|| invalid(what))?;
    out.push(len);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn login((name, password): &(String, String)) -> io::Result<Vec<u8>> {
    let mut out = vec![1];
    push(&mut out, name, "the SOCKS user name must have 1 to 255 bytes")?;
    push(&mut out, password, "the SOCKS password must have 1 to 255 bytes")?;
    Ok(out)
}

fn request(target: &str) -> io::Result<Vec<u8>> {
    let parts = target.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = parts.ok_or_else(|| invalid("the address is not of the form host:port"))?;
    let mut out = vec![VERSION, CONNECT, 0];
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(ip)) => {
            out.push(IPV4);
            out.extend_from_slice(&ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            out.push(IPV6);
            out.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            out.push(DOMAIN);
            push(&mut out, host, "the host's name must have 1 to 255 bytes")?;
        }
    }
    out.extend_from_slice(&port.to_be_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses travel as numbers and names as names, for the proxy to resolve.
    #[test]
    fn requests_name_the_target() {
        assert_eq!(request("10.0.0.1:258").unwrap(), [5, 1, 0, 1, 10, 0, 0, 1, 1, 2]);
        assert_eq!(request("ab:80").unwrap(), [5, 1, 0, 3, 2, b'a', b'b', 0, 80]);
        assert!(SocksProxy::new("ab:80").login("n", "p").check().is_ok());
        let v6 = request("[::1]:80").unwrap();
        assert_eq!((v6[3], v6.len(), v6[19]), (4, 22, 1));
        assert!(request("nowhere").is_err() && request(":80").is_err());
        assert!(request(&format!("{}:80", "h".repeat(256))).is_err());
    }

    /// Accounts have their form, and the password stays out of logs.
    #[test]
    fn accounts_are_kept() {
        assert_eq!(login(&("u".into(), "pw".into())).unwrap(), [1, 1, b'u', 2, b'p', b'w']);
        assert!(login(&("u".into(), String::new())).is_err());
        let shown = format!("{:?}", SocksProxy::new("p:1").login("name", "secret"));
        assert!(shown.contains("name") && !shown.contains("secret"), "{shown}");
    }
}
