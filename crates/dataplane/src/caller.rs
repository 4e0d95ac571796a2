//! Who calls: what `authenticate` proved, read by `authorize`, `limit`, `proxy` and `record`. It lives beside the stages
//! so that none of them has to import another.

use std::sync::Arc;

use ipnet::IpNet;

use crate::claims::Claims;
use crate::session::Session;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// Nobody was identified, and the route allows that.
    Anonymous,
    /// Proved by a token.
    User,
    /// Proved by an API key.
    Partner,
    /// Proved by the certificate of the connection.
    Certificate,
}

impl CallerKind {
    /// The word that records and `explain` use.
    pub fn text(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User => "user",
            Self::Partner => "partner",
            Self::Certificate => "certificate",
        }
    }
}

/// Every text in here is safe as a header value: no control characters, no white space at the ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub kind: CallerKind,
    /// Index in the snapshot of the identity that proved the caller.
    pub identity: Option<u32>,
    /// Becomes `X-User-ID`. At most 256 bytes.
    pub user: Option<Arc<str>>,
    /// Visible ASCII without spaces, in the order granted, none twice.
    pub scopes: Arc<[Arc<str>]>,
    /// The scopes joined by one space; becomes `X-User-Scopes`.
    pub scopes_text: Arc<str>,
    /// Becomes `X-Partner-ID`.
    pub partner: Option<Arc<str>>,
    /// Public name of the API key, never part of the secret.
    pub key_id: Option<Arc<str>>,
    /// Name of the tier that replaces the route's.
    pub tier: Option<Arc<str>>,
    /// Where the caller may call from; `None`: from everywhere.
    pub networks: Option<Arc<[IpNet]>>,
    /// Apart from scopes, which are what the caller may do through this token; `None` where there are none.
    pub roles: Option<Arc<Roles>>,
    /// Claims that services are told, as header lines.
    pub header_lines: Option<Arc<[u8]>>,
    /// What the token says, where the configuration asks for claims; look up with `Claims::find`.
    pub claims: Option<Arc<Claims>>,
    /// What whoever sends the token has to prove besides.
    pub confirmation: Option<Box<Confirmation>>,
    /// Where the credential is one that browsers send by themselves, from whatever page a request is made.
    pub ambient: Option<Arc<Ambient>>,
    /// The signature had been verified by an earlier request.
    pub cached: bool,
}

/// What a token is bound to (`cnf`, RFC 7800), so that it is worth nothing to whoever has only read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirmation {
    /// SHA-256 of the certificate of the connection (RFC 8705).
    pub certificate: Option<[u8; 32]>,
    /// SHA-256 of the key that proofs are signed with (RFC 9449), by RFC 7638.
    pub key: Option<[u8; 32]>,
}

/// What is known of a browser's credential beyond whom it proves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ambient {
    /// Of the session: only pages of its own origin can read it.
    pub token: Option<Arc<str>>,
    /// The session, where its cookie is to say anew when it was seen.
    pub marked: Option<Arc<Session>>,
}

impl Caller {
    /// A caller of this kind with these scopes and nothing else known.
    pub fn new(kind: CallerKind, identity: Option<u32>, scopes: Vec<Arc<str>>) -> Self {
        let scopes_text = scopes.join(" ").into();
        Self {
            kind,
            identity,
            user: None,
            scopes: scopes.into(),
            scopes_text,
            partner: None,
            key_id: None,
            tier: None,
            networks: None,
            roles: None,
            header_lines: None,
            claims: None,
            confirmation: None,
            ambient: None,
            cached: false,
        }
    }

    pub fn anonymous() -> Self {
        Self::new(CallerKind::Anonymous, None, Vec::new())
    }

    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| **own == *scope)
    }

    pub fn has_role(&self, role: &str) -> bool {
        self.roles.as_ref().is_some_and(|roles| roles.list.iter().any(|own| **own == *role))
    }
}

/// What the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// In the order granted, none twice.
    pub list: Box<[Arc<str>]>,
    /// Joined by commas; becomes `X-User-Roles`.
    pub text: Box<str>,
}

impl Roles {
    pub fn new(list: Vec<Arc<str>>) -> Self {
        Self { text: list.join(",").into(), list: list.into() }
    }
}

/// A comma inside would make two roles of one in `X-User-Roles`.
pub(crate) fn is_role(text: &str) -> bool {
    is_header_safe(text) && !text.contains(',')
}

/// Can this text be sent as the whole value of a header, and arrive as it was sent? White space at the ends would be
/// trimmed on the way, so that a service would read another name than the one that was proved.
pub(crate) fn is_header_safe(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control)
}

/// A scope is visible ASCII (RFC 6749 section 3.3): a space inside would make two scopes of one in `X-User-Scopes`.
pub(crate) fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
