//! Logins of browsers by OpenID Connect, as Python hands them down and answers for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcDocument {
    pub client_id: String,
    /// What is asked of the provider, `openid` among it.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request.
    pub parameters: BTreeMap<String, String>,
    /// Path below which `login`, `callback`, `logout` and `backchannel` are; no slash at its end.
    pub prefix: String,
    /// `https://app.example.com`, where browsers reach the gateway; `null`: as each request says.
    pub external_url: Option<String>,
    /// Paths that are no pages, whatever a request for them accepts: each with all below it.
    pub api_paths: Vec<String>,
    /// How long a login may take.
    pub login_timeout_ms: u64,
    /// A path of this host or a whole URL.
    pub after_logout: String,
    /// How long a request waits for the provider.
    pub timeout_ms: u64,
    /// Logins and refreshes under way at once.
    pub max_pending: u32,
    /// `null` where Python finds it out and pushes it with `set_keys`.
    pub provider: Option<ProviderDocument>,
    pub session: SessionDocument,
}

/// Where browsers are sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderDocument {
    pub authorization_endpoint: String,
    /// `null`: a logout ends the session here alone.
    #[serde(default)]
    pub end_session_endpoint: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionDocument {
    /// Name with its prefix.
    pub cookie: String,
    /// The newest first.
    pub secrets: Vec<String>,
    pub domain: Option<String>,
    pub same_site: SameSiteDocument,
    pub secure: bool,
    /// From the login on.
    pub lifetime_ms: u64,
    /// Without a request.
    pub idle_ms: u64,
    /// Bytes of the cookies that hold what the provider gave.
    pub max_tokens_bytes: usize,
    /// So long before the provider's grant ends it is asked for the next one.
    pub refresh_ahead_ms: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SameSiteDocument {
    Strict,
    Lax,
    None,
}

/// What the provider has granted, checked and mapped by Python.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantedDocument {
    /// `null`: the user is as before.
    pub named: Option<NamedDocument>,
    /// How long it holds; `null`: as long as the session.
    pub access_ms: Option<u64>,
    pub refresh_token: Option<String>,
    pub id_token: Option<String>,
}

/// Whom the provider has named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedDocument {
    /// Becomes `X-User-ID`.
    pub user: String,
    /// What the provider calls the user.
    pub subject: Option<String>,
    pub scopes: Vec<String>,
    pub roles: Vec<String>,
    /// Claims of the ID token, where the configuration names some.
    pub claims: Option<Map<String, Value>>,
    /// What the provider calls the session.
    pub provider_session: Option<String>,
}

impl GrantedDocument {
    /// Without something to ask with, nobody asks again.
    pub fn access_until_ms(&self, now_ms: u64) -> Option<u64> {
        self.refresh_token.as_ref()?;
        self.access_ms.map(|access| now_ms.saturating_add(access))
    }
}

/// Why a login or a refresh cannot succeed, whoever tries again.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LoginFailureDocument {
    /// The provider takes the code or the refresh token for none of its own.
    Refused,
    /// What the provider said is not to be believed.
    Token,
    /// The user has no name that can be passed on.
    User,
}
