//! Patterns of addresses in white lists.
//!
//! `*`; an address; `a,b`; `192.168.0.{1,2}`; ranges and stars in any place: `192.168.1-5.*`,
//! `2001:db8:0:0:0:0:1-20:*`. Java lets whatever follows a range pass; here every place counts. Java
//! counterpart: `RemoteAddressStrategyFactory`.

use std::net::{IpAddr, Ipv6Addr};

/// Which addresses need no signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AddressPattern {
    /// None: the pattern is blank.
    Nobody,
    /// All.
    Anybody,
    /// These.
    OneOf(Vec<IpAddr>),
    /// Those with each of 4 or 8 places between two bounds.
    Places(Vec<(u16, u16)>),
}

impl AddressPattern {
    /// Reads a pattern; the error names it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::Nobody);
        }
        if ["*", "*.*.*.*", "*:*:*:*:*:*:*:*"].contains(&text) {
            return Ok(Self::Anybody);
        }
        let wrong = || format!("Netaddress examine Exception netaddress is {text}");
        let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| wrong());
        let several = |text: &str, head: &str| {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| address(&format!("{head}{part}"))).collect::<Result<_, _>>().map(Self::OneOf)
        };
        if let Some((head, tail)) = text.strip_suffix('}').and_then(|text| text.split_once('{')) {
            return several(tail, head);
        }
        if text.contains(',') {
            return several(text, "");
        }
        if text.contains(['*', '-']) {
            return places(text).map(Self::Places).ok_or_else(wrong);
        }
        Ok(Self::OneOf(vec![address(text)?]))
    }

    /// Whether a peer at this address is meant.
    pub(crate) fn matches(&self, peer: IpAddr) -> bool {
        // An IPv4 peer of an IPv6 socket is an IPv4 peer.
        let peer = peer.to_canonical();
        match self {
            Self::Nobody => false,
            Self::Anybody => true,
            Self::OneOf(addresses) => addresses.iter().any(|address| address.to_canonical() == peer),
            Self::Places(bounds) => {
                let places: Vec<u16> = match peer {
                    IpAddr::V4(peer) => peer.octets().map(u16::from).to_vec(),
                    IpAddr::V6(peer) => peer.segments().to_vec(),
                };
                places.len() == bounds.len()
                    && places.iter().zip(bounds).all(|(place, (low, high))| (low..=high).contains(&place))
            }
        }
    }
}

/// The bounds of each place of an address with ranges or stars.
fn places(text: &str) -> Option<Vec<(u16, u16)>> {
    if !text.contains(':') {
        let places: Vec<&str> = text.split('.').collect();
        return if places.len() == 4 { bounds(&places, 10, 255) } else { None };
    }
    let most = Ipv6Addr::LOCALHOST.segments().len();
    let groups = |part: &str| match part {
        "" => Vec::new(),
        part => part.split(':').map(str::to_owned).collect(),
    };
    let groups: Vec<String> = match text.split_once("::") {
        Some((before, after)) => {
            let (mut head, tail): (Vec<String>, Vec<String>) = (groups(before), groups(after));
            let left_out = most.checked_sub(head.len() + tail.len()).filter(|count| *count > 0)?;
            head.extend(vec!["0".to_owned(); left_out]);
            head.extend(tail);
            head
        }
        None => groups(text),
    };
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    if groups.len() == most { bounds(&groups, 16, u16::MAX) } else { None }
}

fn bounds(places: &[&str], radix: u32, most: u16) -> Option<Vec<(u16, u16)>> {
    let number = |text: &str| u16::from_str_radix(text.trim(), radix).ok().filter(|number| *number <= most);
    let bounds = places.iter().map(|place| match place.trim() {
        "*" => Some((0, most)),
        place => match place.split_once('-') {
            Some((low, high)) => Some((number(low)?, number(high)?)).filter(|(low, high)| low <= high),
            None => number(place).map(|number| (number, number)),
        },
    });
    bounds.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, peer: &str) -> bool {
        AddressPattern::parse(pattern).unwrap().matches(peer.parse().unwrap())
    }

    /// Every form of Java's, with an address that is meant and one that is not.
    #[test]
    fn javas_forms() {
        for (pattern, meant, not_meant) in [
            ("10.1.1.1", "10.1.1.1", "10.1.1.2"),
            ("10.1.1.1,10.1.1.3", "10.1.1.3", "10.1.1.2"),
            ("10.1.1.{1,3}", "10.1.1.3", "10.1.1.2"),
            ("10.1.1.*", "10.1.1.255", "10.1.2.1"),
            ("10.1.*.*", "10.1.7.9", "10.2.1.1"),
            ("10.1.1-5.*", "10.1.5.9", "10.1.6.1"),
            ("10.1.1.20-30", "10.1.1.20", "10.1.1.200"),
            ("10.1.1.0-0", "10.1.1.0", "10.1.1.1"),
            ("5::7:6:1-200:*", "5::7:6:200:ffff", "5::7:6:201:1"),
            ("5:0:0:0:7:6:1:*", "5::7:6:1:9", "5::7:6:2:9"),
            ("5::7:6:1:{1,2}", "5::7:6:1:2", "5::7:6:1:3"),
            ("5::7", "5:0:0:0:0:0:0:7", "5::8"),
        ] {
            assert!(matches(pattern, meant), "{pattern} {meant}");
            assert!(!matches(pattern, not_meant), "{pattern} {not_meant}");
        }
        assert!(matches("*", "1.2.3.4") && matches("*.*.*.*", "::1"));
        assert!(matches("10.1.1.1", "::ffff:10.1.1.1"));
        assert!(!matches("  ", "10.1.1.1"));
        // Java takes everything behind the range for a star.
        assert!(!matches("10.1.1-5.7", "10.1.3.8"));
    }

    /// What is no pattern is refused by name, rather than meaning less or more than was thought.
    #[test]
    fn refuses_others() {
        for wrong in
            ["10.1.1", "10.1.1.256", "10.1.*", "10.1.1.5-1", "10.1.1.-5", "a", "{1}", "5::*:1::2", "::-"]
        {
            let error = AddressPattern::parse(wrong).unwrap_err();
            assert_eq!(error, format!("Netaddress examine Exception netaddress is {wrong}"));
        }
    }
}
