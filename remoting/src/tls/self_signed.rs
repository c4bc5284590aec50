//! A certificate for nobody, made at start and never written down: what Java's test mode serves.
//!
//! It protects from those who only listen; peers cannot tell whose it is. Its layout (X.509 version 3):
//!
//! ```text
//! SEQUENCE { tbs, ecdsa-with-SHA256, BIT STRING signature }
//! tbs: SEQUENCE { [0] 2, serial, ecdsa-with-SHA256, issuer, validity, subject, public key }
//! issuer, subject: CN=localhost     validity: 1970 to 9999     public key: P-256
//! ```
//!
//! Java counterpart: Netty's `SelfSignedCertificate`.

use std::sync::Arc;

use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::TlsError;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

pub(super) fn certified_key(provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let failed = |_| TlsError::words("the self-signed certificate of tls.test.mode.enable cannot be made");
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(failed)?;
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).map_err(TlsError::words)?;
    let mut serial = [0; 16];
    fill(&mut serial).map_err(failed)?;
    // Positive, and as long as it says.
    serial[0] = serial[0] & 0x3f | 0x40;

    let algorithm = der(SEQUENCE, &[&der(OID, &[ECDSA_WITH_SHA256])]);
    let common_name = der(SEQUENCE, &[&der(OID, &[COMMON_NAME]), &der(UTF8_STRING, &[b"localhost"])]);
    let name = der(SEQUENCE, &[&der(SET, &[&common_name])]);
    let since = der(UTC_TIME, &[b"700101000000Z"]);
    let validity = der(SEQUENCE, &[&since, &der(GENERALIZED_TIME, &[b"99991231235959Z"])]);
    let key_kind = der(SEQUENCE, &[&der(OID, &[EC_PUBLIC_KEY]), &der(OID, &[P256])]);
    let public_key = der(SEQUENCE, &[&key_kind, &der(BIT_STRING, &[&[0], pair.public_key().as_ref()])]);
    let (version, serial) = (der(VERSION, &[&der(INTEGER, &[&[2]])]), der(INTEGER, &[&serial]));
    let tbs = der(SEQUENCE, &[&version, &serial, &algorithm, &name, &validity, &name, &public_key]);
    let signature = pair.sign(&random, &tbs).map_err(failed)?;
    let certificate = der(SEQUENCE, &[&tbs, &algorithm, &der(BIT_STRING, &[&[0], signature.as_ref()])]);

    let key = PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec()).into();
    let key = provider.key_provider.load_private_key(key).map_err(TlsError::words)?;
    let certified = CertifiedKey::new(vec![CertificateDer::from(certificate)], Arc::clone(&key));
    certified.keys_match().map_err(TlsError::words)?;
    Ok(certified)
}

/// One value: tag, length, content.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let len = content.len();
    let mut value = vec![tag];
    match len {
        0..=0x7f => value.push(len as u8),
        0x80..=0xff => value.extend([0x81, len as u8]),
        _ => value.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    value.extend_from_slice(&content);
    value
}
