//! A key that signatures are verified with. The algorithm belongs to the key: what a signature says of its own can only be
//! equal or wrong.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::refusal::CredentialFault;

/// Bytes of an HMAC secret: a shorter one can be guessed from a single request.
const MIN_SECRET: usize = 32;

pub(super) enum Verifier {
    Secret(Box<hmac::Key>),
    Public { algorithm: &'static str, key: ParsedPublicKey },
}

const HMAC: &str = "hmac-sha256";

impl Verifier {
    /// `key` in base64: the secret, or a public key as SubjectPublicKeyInfo in DER.
    pub(super) fn compile(algorithm: &str, key: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(key).map_err(|_| "the key is not base64")?;
        let (algorithm, verification): (_, &'static dyn VerificationAlgorithm) = match algorithm {
            HMAC if bytes.len() < MIN_SECRET => {
                return Err(format!("a secret of {} bytes; it takes at least {MIN_SECRET}", bytes.len()));
            }
            HMAC => return Ok(Self::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))),
            "ed25519" => ("ed25519", &ED25519),
            "ecdsa-p256-sha256" => ("ecdsa-p256-sha256", &ECDSA_P256_SHA256_FIXED),
            "rsa-pss-sha512" => ("rsa-pss-sha512", &RSA_PSS_2048_8192_SHA512),
            other => return Err(format!("the algorithm `{other}` is not supported")),
        };
        let key = ParsedPublicKey::new(verification, bytes);
        let key = key.map_err(|_| format!("no public key for {algorithm}"))?;
        Ok(Self::Public { algorithm, key })
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Secret(_) => HMAC,
            Self::Public { algorithm, .. } => algorithm,
        }
    }

    /// In constant time where the key is a secret.
    pub(super) fn verify(&self, text: &[u8], signature: &[u8]) -> Result<(), CredentialFault> {
        let is_genuine = match self {
            Self::Secret(secret) => hmac::verify(secret, text, signature).is_ok(),
            Self::Public { key, .. } => key.verify_sig(text, signature).is_ok(),
        };
        if is_genuine { Ok(()) } else { Err(CredentialFault::BadSignature) }
    }
}
