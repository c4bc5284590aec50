//! Files of accounts, and what the accounts in them may do.
#![no_main]

use std::net::Ipv4Addr;

use ferrocket_acl::Accounts;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::{RemotingCommand, RequestCode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(accounts) = Accounts::parse(text) else { return };
    let request = RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty);
    let _ = accounts.check(&request, Ipv4Addr::LOCALHOST.into());
});
