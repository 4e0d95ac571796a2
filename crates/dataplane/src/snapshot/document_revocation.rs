//! Tokens that count no more, as Python pushes them.

use serde::Deserialize;

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RevokedKindDocument {
    /// One token, by its `jti`.
    Token,
    /// Tokens of one user.
    Subject,
    /// Tokens of a whole identity, or of all.
    Identity,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationDocument {
    pub kind: RevokedKindDocument,
    /// Name of the identity that the tokens are for; `null`: every one.
    pub identity: Option<String>,
    /// The `jti` or the user; `null` of a whole identity.
    pub value: Option<String>,
    /// Tokens that were issued before this are meant, and those that do not say when they were. A single token is meant
    /// whenever it was issued.
    pub issued_before_ms: i64,
    /// From then on it means nothing: every such token has expired.
    pub until_ms: i64,
}
