//! Where the NameServers are, asked of a web server: `http://domain:8080/rocketmq/nsaddr`.
//!
//! Java counterparts: `TopAddressing`, `HttpTinyClient`, `MixAll.getWSAddr`. One plain GET, no redirects, no TLS.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Java's port, unless the domain names one.
const PORT: u16 = 8_080;
/// Longest answer that is read; a list of addresses is some hundred bytes.
const ANSWER_LEN_MAX: u64 = 64 << 10;

/// A web server that knows where the NameServers are, and what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressServer {
    host: String,
    path: String,
}

impl AddressServer {
    /// The one at `domain`, which may name a port (8080 otherwise). A unit name asks for the NameServers of that unit.
    /// `None` when these make no URL.
    pub fn new(domain: &str, subgroup: &str, unit_name: Option<&str>) -> Option<Self> {
        let legal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let unit = unit_name.filter(|unit| !unit.trim().is_empty());
        if !legal(domain) || domain.contains('/') || !legal(subgroup) || !unit.is_none_or(legal) {
            return None;
        }
        let host = if domain.contains(':') { domain.to_owned() } else { format!("{domain}:{PORT}") };
        let unit = unit.map(|unit| format!("-{unit}?nofix=1")).unwrap_or_default();
        Some(Self { host, path: format!("/rocketmq/{subgroup}{unit}") })
    }

    /// The list as the web server has it now: addresses with `;` between, not looked at.
    ///
    /// # Errors
    /// Name the URL and say why there is no list.
    pub async fn fetch(&self, timeout: Duration) -> io::Result<String> {
        let Self { host, path } = self;
        let answer = tokio::time::timeout(timeout, self.get()).await.unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing within {timeout:?}")))
        });
        answer.map_err(|error| {
            let text = format!("http://{host}{path} does not say where the NameServers are: {error}");
            io::Error::new(error.kind(), text)
        })
    }

    async fn get(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.host).await?;
        // Version 1.0 has no chunks: the answer ends with the connection.
        let request =
            format!("GET {} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n", self.path, self.host);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_LEN_MAX).read_to_end(&mut answer).await?;
        addresses(&answer).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
    }
}

/// The first line of an answer's body.
fn addresses(answer: &[u8]) -> Result<String, String> {
    let text = str::from_utf8(answer).map_err(|_| "the answer is not text")?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer is not HTTP")?;
    let mut status = head.split(' ');
    match (status.next(), status.next()) {
        (Some(version), Some("200")) if version.starts_with("HTTP/1.") => {}
        (Some(version), Some(code)) if version.starts_with("HTTP/1.") => {
            return Err(format!("status {code}"));
        }
        _ => return Err("the answer is not HTTP".into()),
    }
    let line = body.trim().lines().next().unwrap_or_default().trim();
    if line.is_empty() { Err("the answer is empty".into()) } else { Ok(line.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The URL is the one that Java asks.
    #[test]
    fn urls_are_javas() {
        let url = |domain, unit| {
            AddressServer::new(domain, "nsaddr", unit).map(|at| format!("{}{}", at.host, at.path))
        };
        assert_eq!(url("jmenv.example", None).unwrap(), "jmenv.example:8080/rocketmq/nsaddr");
        assert_eq!(
            url("jmenv.example:80", Some("u1")).unwrap(),
            "jmenv.example:80/rocketmq/nsaddr-u1?nofix=1"
        );
        assert_eq!(url("jmenv.example", Some(" ")).unwrap(), "jmenv.example:8080/rocketmq/nsaddr");
        assert_eq!(url("", None), None);
        assert_eq!(url("a b", None), None);
        assert_eq!(url("a\r\nX: y", None), None);
    }

    /// Only the first line of a good answer counts.
    #[test]
    fn answers_are_read() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n\r\n a:1;b:2 \r\nrest";
        assert_eq!(addresses(good).unwrap(), "a:1;b:2");
        assert_eq!(addresses(b"HTTP/1.1 404 Not Found\r\n\r\na:1").unwrap_err(), "status 404");
        for bad in [
            &b"HTTP/1.1 200 OK\r\n\r\n"[..],
            b"",
            b"a:1",
            b"SMTP 200 x\r\n\r\na:1",
            b"HTTP/1.1 200\r\n\r\n\xff",
        ] {
            assert!(addresses(bad).is_err());
        }
    }
}
