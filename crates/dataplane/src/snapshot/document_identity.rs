//! Identities and their keys, as Python hands them down.

use serde::Deserialize;

use super::document_login::{GrantedDocument, LoginFailureDocument, OidcDocument};
use super::document_password::BasicDocument;
use super::document_signature::SignatureDocument;
use super::document_tls::CertificateFieldDocument;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityDocument {
    pub name: String,
    pub at: String,
    pub kind: IdentityKindDocument,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKindDocument {
    Jwt(Box<JwtDocument>),
    ApiKey(ApiKeyDocument),
    Mtls(MtlsDocument),
    Oidc(Box<OidcDocument>),
    Basic(BasicDocument),
    Signature(SignatureDocument),
    Introspection(Box<IntrospectionDocument>),
}

/// Tokens whose issuer is asked (RFC 7662). By whom and how, only Python knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionDocument {
    /// Where they stand, and what must be said of them.
    pub tokens: JwtDocument,
    /// Changes where another issuer is asked.
    pub issuer_stamp: String,
    /// How long an answer holds.
    pub cache_ttl_ms: u64,
    pub cache_tokens: u32,
    /// The same of tokens that are not active.
    pub refused_ttl_ms: u64,
    pub cache_refused: u32,
    /// How long a request waits for an answer.
    pub timeout_ms: u64,
    /// Questions that may be open at once.
    pub max_lookups: u32,
    /// Questions that one client address may cause in a second.
    pub lookups_per_address: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MtlsDocument {
    /// The part of the certificate that becomes `X-User-ID`.
    pub user_from: CertificateFieldDocument,
    /// Scopes of every caller.
    pub scopes: Vec<String>,
    /// Names that are callers; `null`: every name.
    pub allow: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtDocument {
    /// Lower-case header that carries `Bearer <token>`.
    pub header: String,
    /// Cookie that carries the token, where there is no such header.
    #[serde(default)]
    pub cookie: Option<String>,
    /// Parameter of the query that carries it, where there is neither.
    #[serde(default)]
    pub query: Option<String>,
    /// `iss` must be one of them; empty: any issuer.
    pub issuers: Vec<String>,
    /// One of them must be in `aud`; empty: any audience.
    pub audiences: Vec<String>,
    pub leeway_ms: u64,
    pub require_expiry: bool,
    /// How old a token may be by its `iat`, which it then must have.
    #[serde(default)]
    pub max_age_ms: Option<u64>,
    /// `typ` must be one of them; `null`: none, `JWT` or `at+jwt`.
    #[serde(default)]
    pub types: Option<Vec<String>>,
    #[serde(default)]
    pub required_claims: Vec<ClaimTestDocument>,
    #[serde(default)]
    pub forbidden_claims: Vec<ClaimTestDocument>,
    /// The claim that becomes `X-User-ID`.
    pub user_claim: String,
    /// Paths of claims read for scopes: a space-separated text or a list of texts.
    pub scope_claims: Vec<String>,
    /// Path of the claim that names the caller's tier.
    #[serde(default)]
    pub tier_claim: Option<String>,
    /// The same for roles, which become `X-User-Roles`.
    #[serde(default)]
    pub role_claims: Vec<String>,
    /// Claims that services are told.
    #[serde(default)]
    pub claim_headers: Vec<ClaimHeaderDocument>,
    /// Callers keep all that the token says, because a rule, a tenant or a limit reads it.
    #[serde(default)]
    pub keep_claims: bool,
    /// Every token must be bound to the certificate of its connection (RFC 8705).
    #[serde(default)]
    pub certificate_bound: bool,
    /// Tokens come with a proof of the key that they are bound to (RFC 9449).
    #[serde(default)]
    pub dpop: Option<DpopDocument>,
    /// Inline key set; `null` where Python pushes it with `set_keys`.
    pub keys: Option<KeySetDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DpopDocument {
    /// Tokens that are not bound to a key are taken, too.
    pub optional: bool,
    pub max_age_ms: u64,
    /// Proofs that are remembered until they are too old.
    pub max_proofs: u32,
}

/// Is a claim there, or one of these values?
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimTestDocument {
    /// Its path, such as `org.id`.
    pub claim: String,
    /// `null`: whatever it says.
    pub equals: Option<Vec<serde_json::Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimHeaderDocument {
    /// Lower case. The client's own header of this name, in whatever spelling, goes on to no service.
    pub header: String,
    pub claim: String,
}

/// A JSON Web Key Set (RFC 7517). Unknown members of a key are ignored, as the RFC demands.
#[derive(Clone, Debug, Deserialize)]
pub struct KeySetDocument {
    pub keys: Vec<serde_json::Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyDocument {
    /// Lower-case header that carries the key.
    pub header: String,
    /// Key of the HMAC, where keys are stored as HMAC-SHA256; `null` for plain SHA-256.
    pub pepper: Option<String>,
    /// Inline keys; `null` where Python pushes them with `set_keys`.
    pub keys: Option<ApiKeysDocument>,
    /// The keys are those of the key store, and neither here nor pushed.
    #[serde(default)]
    pub stored: bool,
}

/// The store that Python looks API keys up in, one by one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyStoreDocument {
    /// Key of the HMAC that makes hashes and checksums of keys.
    pub secret: String,
    /// Another one under which keys were made before; they are valid still.
    pub previous_secret: Option<String>,
    /// How long an answer holds.
    pub cache_ttl_ms: u64,
    pub cache_keys: u32,
    /// The same of keys that the store does not know or refuses.
    pub refused_ttl_ms: u64,
    pub cache_refused: u32,
    /// How long a request waits for an answer.
    pub timeout_ms: u64,
    /// Look-ups that may be under way at once.
    pub max_lookups: u32,
    /// Look-ups that one client address may cause in a second.
    pub lookups_per_address: u32,
}

/// Why the store refuses a key.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum KeyRefusalDocument {
    Unknown,
    Revoked,
    Expired,
}

/// The answer to a question. `ok` alone says that newer keys were fetched; of an API key the store says one of the others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerDocument {
    pub ok: bool,
    #[serde(default)]
    pub key: Option<ApiKeyEntryDocument>,
    #[serde(default)]
    pub refused: Option<KeyRefusalDocument>,
    /// Which key is refused, where the store knows it.
    #[serde(default)]
    pub id: Option<String>,
    /// Of a password: whether it is the right one.
    #[serde(default)]
    pub password: Option<bool>,
    /// Of a token: whether it is active, and then its claims as the issuer sent them, JSON.
    #[serde(default)]
    pub active: Option<bool>,
    #[serde(default)]
    pub claims: Option<String>,
    /// How long the key may be believed, where that is shorter than `cache_ttl_ms`.
    #[serde(default)]
    pub ttl_ms: Option<u64>,
    /// What a provider has granted to a login or a session.
    #[serde(default)]
    pub granted: Option<GrantedDocument>,
    /// Why it grants nothing, however often it is asked.
    #[serde(default)]
    pub failed: Option<LoginFailureDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeysDocument {
    pub keys: Vec<ApiKeyEntryDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyEntryDocument {
    /// Public name of the key, for records; never part of the secret.
    pub id: String,
    /// Lower-case hexadecimal SHA-256 or HMAC-SHA256 of the whole key.
    pub hash: String,
    /// Becomes `X-Partner-ID`.
    pub partner: String,
    pub scopes: Vec<String>,
    /// Tier that replaces the route's for this key.
    pub tier: Option<String>,
    pub expires_at_ms: Option<u64>,
    /// Where it may be used from, in CIDR notation; empty: from everywhere.
    #[serde(default)]
    pub networks: Vec<String>,
}
