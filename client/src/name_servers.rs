//! The list of NameServers and which of them is asked next.
//!
//! Java counterpart: `NettyRemotingClient.getAndCreateNameserverChannel`: one server is kept as long as it
//! answers; after a failure the next in the list is asked. Names in the list are resolved with every connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};

/// Most addresses in a list.
const NAME_SERVERS_MAX: usize = 64;

/// Addresses in the order given, and the place of the one in use.
#[derive(Debug)]
pub(crate) struct NameServers {
    /// Replaced as a whole when a web server says where the NameServers are now. Held to look or to exchange.
    addrs: Mutex<Arc<[String]>>,
    at: AtomicUsize,
}

/// Reads `host:port;host:port` (commas do as well).
pub(crate) fn parse(list: &str) -> Result<Vec<String>> {
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
        1..=NAME_SERVERS_MAX => Ok(addrs),
        len => {
            let text = format!("{len} NameServer addresses, at most {NAME_SERVERS_MAX} are allowed");
            Err(Error::new(ErrorKind::Config, text))
        }
    }
}

impl NameServers {
    /// `start` spreads clients over the list, which may be empty until it is heard of.
    pub(crate) fn new(addrs: Vec<String>, start: usize) -> Self {
        Self { addrs: Mutex::new(addrs.into()), at: AtomicUsize::new(start) }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<[String]>> {
        self.addrs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All addresses in the order given.
    pub(crate) fn addrs(&self) -> Arc<[String]> {
        Arc::clone(&self.lock())
    }

    /// Exchanges the list; the addresses that are not in it any more, or `None` when nothing changed.
    pub(crate) fn replace(&self, addrs: Vec<String>) -> Option<Vec<String>> {
        let mut known = self.lock();
        if **known == *addrs {
            return None;
        }
        let gone = known.iter().filter(|addr| !addrs.contains(addr)).cloned().collect();
        *known = addrs.into();
        Some(gone)
    }

    /// Every address once, the one in use first.
    pub(crate) fn candidates(&self) -> Vec<String> {
        let addrs = self.addrs();
        let at = self.at.load(Ordering::Relaxed).checked_rem(addrs.len()).unwrap_or(0);
        addrs.iter().cycle().skip(at).take(addrs.len()).cloned().collect()
    }

    /// `addr` answered: it is asked first from now on.
    pub(crate) fn keep(&self, addr: &str) {
        if let Some(at) = self.lock().iter().position(|known| known == addr) {
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
        let servers = NameServers::new(parse("a:1; b:2,c:3;").unwrap(), 4);
        assert_eq!(servers.candidates(), ["b:2", "c:3", "a:1"]);
        servers.keep("c:3");
        assert_eq!(servers.candidates(), ["c:3", "a:1", "b:2"]);
        servers.keep("unknown:1");
        assert_eq!(servers.candidates()[0], "c:3");
    }

    /// A list that a web server answers takes the place of the old one; what fell out is known.
    #[test]
    fn lists_are_replaced() {
        let servers = NameServers::new(Vec::new(), 7);
        assert!(servers.candidates().is_empty());
        assert_eq!(servers.replace(parse("a:1;b:2").unwrap()), Some(Vec::new()));
        assert_eq!(servers.replace(parse("a:1;b:2").unwrap()), None);
        assert_eq!(servers.replace(parse("b:2;c:3").unwrap()), Some(vec!["a:1".to_owned()]));
        assert_eq!(servers.addrs()[..], ["b:2", "c:3"]);
    }

    /// Lists that cannot work are refused when the client is built.
    #[test]
    fn bad_lists_are_refused() {
        for bad in ["", ";;", "host", "host:", ":9876", "host:0", "host:99999"] {
            assert_eq!(parse(bad).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
        assert_eq!(parse("[::1]:9876").unwrap(), ["[::1]:9876"]);
    }
}
