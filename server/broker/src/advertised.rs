//! The address that clients are given: `brokerIP1`, or what can be found out about this machine.
//!
//! A wrong one is the commonest reason why clients find the NameServer but not the Broker, so the Broker says
//! at start which one it gives, and warns when others cannot reach it. Java counterpart:
//! `RemotingUtil.getLocalAddress`, which takes the first interface that is neither loopback nor 192.168.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;

/// Somewhere in the internet (TEST-NET-1, which nobody has): the way there leads over the main interface.
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// Where this Broker is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advertised {
    /// The host as clients are given it.
    pub(crate) host: String,
    /// Host and port as an address, for records and message ids.
    pub(crate) socket: SocketAddr,
    /// Why others may not reach it.
    pub(crate) warning: Option<String>,
}

impl Advertised {
    /// Host and port as clients are given them.
    pub(crate) fn addr(&self) -> String {
        joined(&self.host, self.socket.port())
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn joined(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What is known about the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Its address on the way out into the world.
    pub(crate) outward: Option<IpAddr>,
    /// Its address on the way to the first NameServer.
    pub(crate) to_namesrv: Option<IpAddr>,
    /// Whether it is a container.
    pub(crate) container: bool,
}

impl Machine {
    /// Asks the system; sends nothing.
    pub(crate) fn look(namesrv_addr: &str) -> Self {
        let namesrv = namesrv_addr.split(';').next().unwrap_or_default().trim();
        let namesrv = namesrv.to_socket_addrs().ok().and_then(|mut addrs| addrs.next());
        Self {
            outward: source_for(ELSEWHERE),
            to_namesrv: namesrv.and_then(source_for),
            container: ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists()),
        }
    }
}

/// The address that packets to `target` would come from. Connecting a datagram socket only looks up the way.
fn source_for(target: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().ok()?;
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| !ip.is_unspecified())
}

/// Chooses the address of a Broker that listens on `bound`. `configured` is `brokerIP1`: an address or a
/// name, or empty.
pub(crate) fn choose(configured: &str, bound: SocketAddr, machine: Machine) -> Result<Advertised, String> {
    let port = bound.port();
    let configured = configured.trim();
    if !configured.is_empty() {
        let host = configured.trim_matches(['[', ']']);
        let ip = match host.parse::<IpAddr>() {
            Ok(ip) => ip,
            Err(_) => {
                let found = (host, port)
                    .to_socket_addrs()
                    .map_err(|error| format!("brokerIP1={configured}: {error}"))?;
                let found: Vec<SocketAddr> = found.collect();
                let chosen = found.iter().find(|addr| addr.is_ipv4()).or(found.first());
                let chosen =
                    chosen.ok_or_else(|| format!("brokerIP1={configured}: the name has no address"))?;
                chosen.ip()
            }
        };
        return Ok(Advertised { host: host.to_owned(), socket: SocketAddr::new(ip, port), warning: None });
    }
    let set = "set brokerIP1 to the address that clients reach";
    let here = bound.ip();
    let (ip, warning) = if !here.is_unspecified() {
        let warning = format!("{here} is for this machine only: {set}, and bindAddress");
        (here, here.is_loopback().then_some(warning))
    } else {
        let candidates = [machine.outward, machine.to_namesrv].into_iter().flatten();
        match candidates.into_iter().find(|ip| !ip.is_loopback()) {
            Some(ip) => {
                let warning =
                    format!("{ip} belongs to a container and may not be reached from outside: {set}");
                (ip, machine.container.then_some(warning))
            }
            None => {
                let warning =
                    format!("found no address but 127.0.0.1, which is for this machine only: {set}");
                (Ipv4Addr::LOCALHOST.into(), Some(warning))
            }
        }
    };
    let socket = SocketAddr::new(ip, port);
    Ok(Advertised { host: ip.to_string(), socket, warning })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5)));

    fn chosen(configured: &str, bound: &str, machine: Machine) -> (String, Option<String>) {
        let advertised = choose(configured, bound.parse().unwrap(), machine).unwrap();
        (advertised.addr(), advertised.warning)
    }

    /// What is configured is given as it is, whatever the machine looks like.
    #[test]
    fn configured_addresses() {
        let machine = Machine { container: true, ..Machine::default() };
        for (configured, addr) in [
            ("127.0.0.1", "127.0.0.1:10911"),
            ("::1", "[::1]:10911"),
            ("[::1]", "[::1]:10911"),
            ("localhost", "localhost:10911"),
        ] {
            assert_eq!(chosen(configured, "0.0.0.0:10911", machine), (addr.to_owned(), None));
        }
        assert!(
            choose("no such host", "0.0.0.0:1".parse().unwrap(), machine)
                .unwrap_err()
                .contains("no such host")
        );
    }

    /// Without configuration: the bound address, else the way out, else the way to the NameServer; a warning
    /// wherever others may be left outside.
    #[test]
    fn found_addresses() {
        let machine = Machine { outward: OUT, ..Machine::default() };
        assert_eq!(chosen("", "0.0.0.0:10911", machine), ("10.0.0.5:10911".to_owned(), None));
        assert_eq!(chosen("", "10.0.0.7:10911", machine), ("10.0.0.7:10911".to_owned(), None));
        assert_eq!(
            chosen("", "0.0.0.0:10911", Machine { to_namesrv: OUT, ..Machine::default() }),
            ("10.0.0.5:10911".to_owned(), None)
        );
        let (addr, warning) = chosen("", "0.0.0.0:10911", Machine { container: true, ..machine });
        assert_eq!(addr, "10.0.0.5:10911");
        assert!(warning.unwrap().contains("container"));
        let lonely = Machine { to_namesrv: Some(Ipv4Addr::LOCALHOST.into()), ..Machine::default() };
        let (addr, warning) = chosen("", "0.0.0.0:10911", lonely);
        assert_eq!(addr, "127.0.0.1:10911");
        assert!(warning.unwrap().contains("brokerIP1"));
        assert!(chosen("", "127.0.0.1:10911", machine).1.unwrap().contains("bindAddress"));
    }

    /// Looking at the real machine does not fail, and finds the way to itself.
    #[test]
    fn looks_at_the_machine() {
        assert_eq!(Machine::look("127.0.0.1:9876").to_namesrv, Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(Machine::look("").to_namesrv, None);
    }
}
