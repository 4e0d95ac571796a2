//! Callers with a password, as Python hands them down. The hashes of passwords stay with Python.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicDocument {
    /// What a browser shows when it asks.
    pub realm: String,
    pub users: Vec<UserDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserDocument {
    /// Becomes `X-User-ID`.
    pub user: String,
    /// Lower-case hexadecimal SHA-256 of what Python has of the password: it changes with it, and says nothing about it.
    pub hash: String,
    pub scopes: Vec<String>,
    #[serde(default)]
    pub roles: Vec<String>,
    /// Tier that replaces the route's for this caller.
    pub tier: Option<String>,
}

/// How Python is asked to check passwords.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordsDocument {
    /// How long a right password holds.
    pub cache_ttl_ms: u64,
    /// Right passwords that are remembered.
    pub cache: u32,
    /// How long a request waits for an answer.
    pub timeout_ms: u64,
    /// Checks that may be under way at once.
    pub max_checks: u32,
    /// Checks that one client address may cause in a second.
    pub checks_per_address: u32,
}
