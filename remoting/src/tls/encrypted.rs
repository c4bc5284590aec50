//! Private keys that are encrypted with a password: PKCS#8 (RFC 5958) and PBES2 (RFC 8018), as openssl writes them.
//!
//! Left out: what was before PBES2 (DES, RC4), which Java 8 needed, keys whose password goes through scrypt, and
//! openssl's own form (`Proc-Type: 4,ENCRYPTED`), which Java does not read either. Java counterpart: Netty's
//! `SslContext.generateKeySpec`.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_128_KEY_LEN, AES_192, AES_192_KEY_LEN, AES_256, AES_256_KEY_LEN, DecryptionContext,
    PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs5::AlgorithmIdentifierRef;
use pkcs5::der::Decode;
use pkcs5::der::asn1::{AnyRef, OctetStringRef};
use pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Parameters, Pbkdf2Prf};

/// Why a key stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// The text is no such key.
    Broken,
    /// Something else than PBES2 with PBKDF2 and AES.
    Scheme,
    /// Another password.
    Password,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "an encrypted private key that cannot be read",
            Self::Scheme => {
                "encrypted in a way that is not supported; encrypt it anew with: \
                 openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW"
            }
            Self::Password => "another password",
        })
    }
}

/// An encrypted key.
#[derive(Debug)]
pub(super) struct EncryptedKey(Vec<u8>);

/// The encrypted key in a PEM file, if there is one.
pub(super) fn find(pem: &[u8]) -> Result<Option<EncryptedKey>, OpenError> {
    let pem = String::from_utf8_lossy(pem);
    if pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(OpenError::Scheme);
    }
    let Some((_, rest)) = pem.split_once("-----BEGIN ENCRYPTED PRIVATE KEY-----") else { return Ok(None) };
    let (text, _) = rest.split_once("-----END ENCRYPTED PRIVATE KEY-----").ok_or(OpenError::Broken)?;
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).map(EncryptedKey).map(Some).map_err(|_| OpenError::Broken)
}

impl EncryptedKey {
    /// The key in PKCS#8.
    pub(super) fn open(&self, password: &str) -> Result<Vec<u8>, OpenError> {
        // SEQUENCE { encryptionAlgorithm, encryptedData OCTET STRING }
        let parts = AnyRef::from_der(&self.0).and_then(|any| {
            any.sequence(|reader| {
                Ok((AlgorithmIdentifierRef::decode(reader)?, <&OctetStringRef>::decode(reader)?))
            })
        });
        let (algorithm, encrypted) = parts.map_err(|_| OpenError::Broken)?;
        let scheme = pkcs5::EncryptionScheme::try_from(algorithm).map_err(|_| OpenError::Scheme)?;
        let plain = decrypt(scheme.pbes2().ok_or(OpenError::Scheme)?, password, encrypted.as_bytes())?;
        // Of 256 wrong passwords one leaves padding that seems right, and nonsense before it.
        AnyRef::from_der(&plain).map_err(|_| OpenError::Password)?;
        Ok(plain)
    }
}

fn decrypt(parameters: &Parameters, password: &str, encrypted: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (algorithm, key_len, iv) = match parameters.encryption {
        Cipher::Aes128Cbc { iv } => (&AES_128, AES_128_KEY_LEN, iv),
        Cipher::Aes192Cbc { iv } => (&AES_192, AES_192_KEY_LEN, iv),
        Cipher::Aes256Cbc { iv } => (&AES_256, AES_256_KEY_LEN, iv),
        _ => return Err(OpenError::Scheme),
    };
    let Kdf::Pbkdf2(kdf) = &parameters.kdf else { return Err(OpenError::Scheme) };
    let hash = match kdf.prf {
        Pbkdf2Prf::HmacWithSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(OpenError::Scheme),
    };
    let rounds = NonZeroU32::new(kdf.iteration_count).ok_or(OpenError::Broken)?;
    let mut key = vec![0; key_len];
    pbkdf2::derive(hash, rounds, kdf.salt.as_bytes(), password.as_bytes(), &mut key);

    let cipher = UnboundCipherKey::new(algorithm, &key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let mut plain = encrypted.to_vec();
    let len = cipher
        .and_then(|cipher| cipher.decrypt(&mut plain, context).map(|plain| plain.len()))
        .map_err(|_| OpenError::Password)?;
    plain.truncate(len);
    Ok(plain)
}
