//! Callers who sign their requests, as Python hands them down.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureDocument {
    /// Which of several signatures counts; `null`: there must be one.
    pub label: Option<String>,
    /// Components that every signature has to cover.
    pub components: Vec<String>,
    /// How old a signature may be.
    pub max_age_ms: u64,
    pub leeway_ms: u64,
    pub needs_nonce: bool,
    /// A body must be covered, by its digest.
    pub needs_digest: bool,
    /// Longer bodies are refused.
    pub max_body_bytes: u64,
    /// Nonces that are remembered.
    pub max_nonces: u32,
    pub keys: Vec<SignerDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerDocument {
    /// `keyid`, and the public name of the key in records.
    pub id: String,
    /// `hmac-sha256`, `ed25519`, `ecdsa-p256-sha256` or `rsa-pss-sha512`.
    pub algorithm: String,
    /// In base64: the secret, or the public key as SubjectPublicKeyInfo.
    pub key: String,
    /// Becomes `X-Partner-ID`.
    pub partner: String,
    pub scopes: Vec<String>,
    #[serde(default)]
    pub roles: Vec<String>,
    /// Tier that replaces the route's for this caller.
    pub tier: Option<String>,
    pub expires_at_ms: Option<u64>,
}
