//! All accounts, and the judgement of requests.
//!
//! Java counterpart: `PlainPermissionManager.validate` and `checkPerm`.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ferrocket_protocol::acl::{ACCESS_KEY, SIGNATURE, is_signed};
use ferrocket_protocol::{RemotingCommand, Text};

use crate::account::{Account, AccountRow, RETRY_PREFIX, Right};
use crate::address::AddressPattern;
use crate::files::AclFile;
use crate::needs::{self, Needs};

/// The topic of traces: every account may send to it.
const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";

/// Why a request is refused, in Java's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied(String);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("org.apache.rocketmq.acl.common.AclException: ")?;
        f.write_str(&self.0)
    }
}

impl std::error::Error for Denied {}

fn denied<T>(words: String) -> Result<T, Denied> {
    Err(Denied(words))
}

/// The accounts, and the addresses that need none.
#[derive(Clone, Default)]
pub struct Accounts {
    white: Vec<AddressPattern>,
    by_key: HashMap<String, Account>,
}

/// Who sends a request.
enum Sender<'a> {
    /// Somebody at an address that needs no signature.
    Trusted,
    /// This account, which has proved it.
    Account(&'a Account),
}

impl Accounts {
    /// The accounts that the text of one file names. One that is there twice counts as it is first.
    ///
    /// # Errors
    /// Where the text is no file of accounts, or what is wrong with one of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut accounts = Self::default();
        AclFile::parse(text)?.add_to(&mut accounts, |_| ())?;
        Ok(accounts)
    }

    /// Adds addresses that need no account.
    ///
    /// # Errors
    /// Names a pattern that is none.
    pub fn add_white(&mut self, pattern: &str) -> Result<(), String> {
        self.white.push(AddressPattern::parse(pattern)?);
        Ok(())
    }

    /// Adds an account. Returns false, and keeps the former one, if there is one of this name.
    ///
    /// # Errors
    /// What is wrong with the row, in Java's words.
    pub fn add(&mut self, row: &AccountRow) -> Result<bool, String> {
        let account = Account::new(row)?;
        let fresh = !self.by_key.contains_key(&account.access_key);
        if fresh {
            self.by_key.insert(account.access_key.clone(), account);
        }
        Ok(fresh)
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether this request may be served to a peer at this address.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, request: &RemotingCommand, peer: IpAddr) -> Result<(), Denied> {
        let Sender::Account(account) = self.sender(request, peer)? else { return Ok(()) };
        match needs::of(request) {
            Ok(Needs::Admin) if account.admin => Ok(()),
            Ok(Needs::Admin) => denied(format!(
                "Need admin permission for request code={}, but accessKey={} is not",
                request.code, account.access_key
            )),
            Ok(Needs::Rights(rights)) => {
                rights.iter().try_for_each(|(resource, right)| account_may(account, resource, *right))
            }
            Err(words) => denied(words),
        }
    }

    /// Whether the sender of a request may read a topic that was not known from the request itself.
    ///
    /// # Errors
    /// Why not.
    pub fn check_reading(&self, request: &RemotingCommand, peer: IpAddr, topic: &str) -> Result<(), Denied> {
        self.check_topic(request, peer, topic, Right::Sub)
    }

    /// Whether the sender of a request may send to a topic that was not known from the request itself.
    ///
    /// # Errors
    /// Why not.
    pub fn check_sending(&self, request: &RemotingCommand, peer: IpAddr, topic: &str) -> Result<(), Denied> {
        self.check_topic(request, peer, topic, needs::right_to_send(topic))
    }

    fn check_topic(
        &self,
        request: &RemotingCommand,
        peer: IpAddr,
        topic: &str,
        right: Right,
    ) -> Result<(), Denied> {
        match self.sender(request, peer)? {
            Sender::Trusted => Ok(()),
            Sender::Account(account) => account_may(account, topic, right),
        }
    }

    fn sender(&self, request: &RemotingCommand, peer: IpAddr) -> Result<Sender<'_>, Denied> {
        if self.white.iter().any(|pattern| pattern.matches(peer)) {
            return Ok(Sender::Trusted);
        }
        one_value(request, SIGNATURE)?;
        let key = match one_value(request, ACCESS_KEY)? {
            // C++ writes the field empty when it has no account.
            None => return denied("No accessKey is configured".to_owned()),
            Some(key) => key,
        };
        let Some(account) = self.by_key.get(&**key) else {
            let shown: String = key.chars().take(64).collect();
            return denied(format!("No acl config for {shown}"));
        };
        if account.is_trusted_at(peer) {
            return Ok(Sender::Trusted);
        }
        if !is_signed(request, &account.secret_key) {
            return denied(format!("Check signature failed for accessKey={}", account.access_key));
        }
        Ok(Sender::Account(account))
    }
}

/// Never the secrets.
impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The value of a field that says who asks. Repeated it must be the same each time, which Java's binary header makes of
/// it: with different ones it would depend on the reader who is asking.
fn one_value<'a>(request: &'a RemotingCommand, name: &str) -> Result<Option<&'a Text>, Denied> {
    let mut values = request.ext_fields.iter().filter(|(key, _)| **key == *name).map(|(_, value)| value);
    let first = values.next();
    match values.all(|value| Some(value) == first) {
        true => Ok(first),
        false => denied(format!("Different values of {name}")),
    }
}

fn account_may(account: &Account, resource: &str, right: Right) -> Result<(), Denied> {
    if account.may(resource, right) || (resource, right) == (TRACE_TOPIC, Right::Pub) {
        return Ok(());
    }
    let shown = match resource.strip_prefix(RETRY_PREFIX) {
        Some(group) => format!("group:{group}"),
        None => format!("topic:{resource}"),
    };
    denied(format!("No default permission for {shown}"))
}
