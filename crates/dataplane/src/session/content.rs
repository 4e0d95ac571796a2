//! What is inside the sealed cookies of a login.

use serde::{Deserialize, Serialize};

use crate::snapshot::document::{GrantedDocument, NamedDocument};

/// Who has logged in, and until when that holds. All times are milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Stays the same while the session lives; revocations name it.
    #[serde(rename = "i")]
    pub id: String,
    #[serde(rename = "u")]
    pub named: NamedDocument,
    /// What a page has to send back to prove that it can read its own cookies.
    #[serde(rename = "x")]
    pub token: String,
    #[serde(rename = "b")]
    pub began_ms: u64,
    #[serde(rename = "l")]
    pub seen_ms: u64,
    /// When the provider has to be asked once more; `None`: it never is.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub access_until_ms: Option<u64>,
}

impl Session {
    /// What the provider has granted now takes the place of what it granted before.
    pub fn refreshed(&self, granted: &GrantedDocument, now_ms: u64) -> Self {
        Self {
            named: granted.named.clone().unwrap_or_else(|| self.named.clone()),
            seen_ms: now_ms,
            access_until_ms: granted.access_until_ms(now_ms),
            ..self.clone()
        }
    }

    /// What the provider calls the user.
    pub fn subject(&self) -> &str {
        self.named.subject.as_deref().unwrap_or(&self.named.user)
    }
}

/// What only the provider is told: kept apart, so that it is not opened for every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// Names the session when the provider is asked to end it, too.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A login that has begun and whose browser is at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    #[serde(rename = "s")]
    pub state: String,
    #[serde(rename = "n")]
    pub nonce: String,
    /// Of PKCE (RFC 7636).
    #[serde(rename = "v")]
    pub verifier: String,
    /// Where the browser wanted to go: a path of this host.
    #[serde(rename = "p")]
    pub path: String,
    #[serde(rename = "b")]
    pub began_ms: u64,
}
