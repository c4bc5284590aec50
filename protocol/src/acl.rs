//! Signatures of ACL 1.0: who sends a request proves that it knows its account's secret.
//!
//! A signer adds its access key to the fields, then signs the values of all fields, in the order of their
//! names, followed by the body. 4.9.8 leaves the mark of queries by unique key out when it verifies but not
//! when it signs, and 5.x leaves it out for clients before 4.9.4 only: verification takes both forms. What an
//! account may do is not decided here. Java counterparts: `AclSigner`, `AclUtils`, `AclClientRPCHook`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::command::{RemotingCommand, Text};
use crate::requests::query::UNIQUE_KEY_QUERY;

/// The field with the account's name.
pub const ACCESS_KEY: &str = "AccessKey";
/// The field with the proof.
pub const SIGNATURE: &str = "Signature";

/// The name and secret of an account, to sign requests with. Java: `SessionCredentials`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key: Text,
    secret_key: Text,
}

impl Credentials {
    /// The account `access_key` with its secret.
    pub fn new(access_key: impl Into<Text>, secret_key: impl Into<Text>) -> Self {
        Self { access_key: access_key.into(), secret_key: secret_key.into() }
    }

    /// Adds the account's name and the signature; what is changed afterwards makes the signature wrong.
    pub fn sign(&self, request: &mut RemotingCommand) {
        request.ext_fields.push(Text::from_static(ACCESS_KEY), self.access_key.clone());
        let signature = STANDARD.encode(mac(request, &self.secret_key, None).finalize().into_bytes());
        request.ext_fields.push(Text::from_static(SIGNATURE), signature);
    }
}

/// Without the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Whether the request carries the signature that its content has under this secret. How long it takes does
/// not depend on how much of a wrong one is right.
pub fn is_signed(request: &RemotingCommand, secret_key: &str) -> bool {
    let signature = request.ext_fields.get(SIGNATURE).and_then(|text| STANDARD.decode(&**text).ok());
    let Some(signature) = signature else { return false };
    let left_out = request.ext_fields.get(UNIQUE_KEY_QUERY).map(|_| UNIQUE_KEY_QUERY);
    let matches = |left_out| mac(request, secret_key, left_out).verify_slice(&signature).is_ok();
    matches(None) || left_out.is_some() && matches(left_out)
}

/// What is signed, of all fields but the signature and `left_out`.
fn mac(request: &RemotingCommand, secret_key: &str, left_out: Option<&str>) -> Hmac<Sha1> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret_key.as_bytes()).expect("HMAC takes keys of any length");
    // Of fields that occur twice, the last counts.
    let fields: BTreeMap<&str, &str> =
        request.ext_fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    for (name, value) in fields {
        if name != SIGNATURE && Some(name) != left_out {
            mac.update(value.as_bytes());
        }
    }
    mac.update(&request.body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ExtFields;
    use crate::requests::{Empty, RequestCode};

    fn query() -> RemotingCommand {
        let mut request = RemotingCommand::request(RequestCode::QueryMessage, &Empty).with_body("body");
        request.ext_fields = ExtFields::from_iter([("topic", "T"), (UNIQUE_KEY_QUERY, "true")]);
        request
    }

    /// A change to a field, to the body or to the secret spoils the signature; signing again mends it.
    #[test]
    fn signatures_are_of_everything() {
        let account = Credentials::new("RocketMQ", "12345678");
        let mut signed = query();
        account.sign(&mut signed);
        assert!(is_signed(&signed, "12345678") && !is_signed(&signed, "12345679"));
        let mut changed = signed.clone();
        changed.ext_fields.push("topic", "U");
        assert!(!is_signed(&changed, "12345678"));
        account.sign(&mut changed);
        assert!(is_signed(&changed, "12345678"));
        assert!(!is_signed(&signed.clone().with_body("x"), "12345678"));
        let mut bare = query();
        assert!(!is_signed(&bare, "12345678"));
        bare.ext_fields.push(SIGNATURE, "no base64");
        assert!(!is_signed(&bare, "12345678"));
        assert!(!format!("{account:?}").contains("1234"));
    }

    /// Clients before 4.9.4 do not sign the mark of queries by unique key, later ones do.
    #[test]
    fn both_forms_of_unique_key_queries() {
        let mut old = query();
        old.ext_fields.push(ACCESS_KEY, "RocketMQ");
        let signature = mac(&old, "12345678", Some(UNIQUE_KEY_QUERY)).finalize().into_bytes();
        old.ext_fields.push(SIGNATURE, STANDARD.encode(signature));
        assert!(is_signed(&old, "12345678"));
    }
}
