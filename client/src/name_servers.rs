//! The list of NameServers and which of them is asked next.
//!
//! Java counterpart: `NettyRemotingClient.getAndCreateNameserverChannel`: one server is kept as long as it
//! answers; after a failure the next in the list is asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// Most addresses in a list.
const NAME_SERVERS_MAX: usize = 64;

/// Addresses in the order given, and the place of the one in use.
#[derive(Debug)]
pub(crate) struct NameServers {
    addrs: Vec<String>,
    at: AtomicUsize,
}

impl NameServers {
    /// Reads `host:port;host:port` (commas do as well). `start` spreads clients over the list.
    pub(crate) fn parse(list: &str, start: usize) -> Result<Self> {
        let mut addrs = Vec::new();
        for addr in list.split([';', ',']).map(str::trim).filter(|addr| !addr.is_empty()) {
            let port = addr.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
            if !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) {
                let text = format!("NameServer address {addr:?} is not of the form host:port");
                return Err(Error::new(ErrorKind::Config, text));
            }
            if !addrs.iter().any(|known| known == addr) {
                addrs.push(addr.to_owned());
            }
        }
        match addrs.len() {
            0 => Err(Error::new(ErrorKind::Config, "No name server address, please set it.")),
            1..=NAME_SERVERS_MAX => {
                let at = AtomicUsize::new(start % addrs.len());
                Ok(Self { addrs, at })
            }
            len => {
                let text = format!("{len} NameServer addresses, at most {NAME_SERVERS_MAX} are allowed");
                Err(Error::new(ErrorKind::Config, text))
            }
        }
    }

    /// All addresses in the order given.
    pub(crate) fn addrs(&self) -> &[String] {
        &self.addrs
    }

    /// Every address once, the one in use first.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = &str> {
        let at = self.at.load(Ordering::Relaxed) % self.addrs.len();
        self.addrs.iter().cycle().skip(at).take(self.addrs.len()).map(String::as_str)
    }

    /// `addr` answered: it is asked first from now on.
    pub(crate) fn keep(&self, addr: &str) {
        if let Some(at) = self.addrs.iter().position(|known| known == addr) {
            self.at.store(at, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One round asks everyone once; the one that answered stays in front.
    #[test]
    fn the_answering_one_stays_in_front() {
        let servers = NameServers::parse("a:1; b:2,c:3;", 4).unwrap();
        assert_eq!(servers.candidates().collect::<Vec<_>>(), ["b:2", "c:3", "a:1"]);
        servers.keep("c:3");
        assert_eq!(servers.candidates().collect::<Vec<_>>(), ["c:3", "a:1", "b:2"]);
        servers.keep("unknown:1");
        assert_eq!(servers.candidates().next(), Some("c:3"));
    }

    /// Lists that cannot work are refused when the client is built.
    #[test]
    fn bad_lists_are_refused() {
        for bad in ["", ";;", "host", "host:", ":9876", "host:0", "host:99999"] {
            assert_eq!(NameServers::parse(bad, 0).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
        assert_eq!(NameServers::parse("[::1]:9876", 0).unwrap().addrs(), ["[::1]:9876"]);
    }
}
