//! One identity of kind `oidc`, compiled: where its browsers are sent, and how its cookies are made and read.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::content::{Pending, Session, Tokens};
use super::jar::Jar;
use super::seal::{Sealer, random_name, random_secret};
use super::url::{self, Url};
use crate::request::{Method, Request, Scheme};
use crate::snapshot::document::{GrantedDocument, OidcDocument, ProviderDocument, SameSiteDocument};

/// Logins that one browser may have begun: its tabs. The next one forgets the others.
const MAX_PENDING: usize = 5;
/// A longer path is not come back to: its cookie would be too long for some browsers.
const MAX_RETURN: usize = 2_000;
/// A session is marked as seen this many times within the time that it may idle.
const MARKS: u64 = 8;

pub type Provider = Arc<ArcSwapOption<ProviderDocument>>;

pub struct Login {
    /// Index in the snapshot.
    pub identity: u32,
    pub name: Box<str>,
    pub jar: Jar,
    pub timeout_ms: u64,
    pub max_pending: u32,
    sealer: Sealer,
    provider: Provider,
    document: OidcDocument,
}

/// What is to be done about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Good until then; no earlier than that has anything to be done about it.
    Good { until_ms: u64 },
    /// Good, and to be marked as seen.
    Unmarked,
    /// Good for a while yet, and the provider is to be asked for the next grant.
    Due { until_ms: u64 },
    /// The provider has to be asked first.
    Stale,
    /// It has ended.
    Over,
}

/// Where a browser is sent, and the `Set-Cookie` lines on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handoff {
    pub location: String,
    pub lines: Vec<u8>,
    /// The way leads over a page, since a redirect from another site would not carry the cookie.
    pub by_page: bool,
}

impl Login {
    pub fn compile(
        (identity, name): (u32, &str),
        document: &OidcDocument,
        provider: Provider,
    ) -> Result<Self, String> {
        if document.session.secrets.is_empty() {
            return Err("there is no secret to seal cookies with".to_owned());
        }
        let provider = match &document.provider {
            Some(known) => Arc::new(ArcSwapOption::from_pointee(known.clone())),
            None => provider,
        };
        Ok(Self {
            identity,
            name: name.into(),
            jar: Jar::compile(&document.session),
            sealer: Sealer::new(&document.session.secrets),
            timeout_ms: document.timeout_ms,
            max_pending: document.max_pending,
            document: document.clone(),
            provider,
        })
    }

    pub fn knows_provider(&self) -> bool {
        self.provider.load().is_some()
    }

    /// What follows the prefix in the path of a request.
    pub fn place<'r>(&self, request: &'r Request) -> &'r str {
        request.path().strip_prefix(&*self.document.prefix).unwrap_or_default()
    }

    /// Would whoever sent this be helped by a page to log in, and not by a refusal? Pages that a person goes to, and nothing that
    /// a program or a script asks for.
    pub fn suits(&self, request: &Request) -> bool {
        if !matches!(request.method, Method::Get | Method::Head) || request.extended {
            return false;
        }
        let is_below = |path: &String| url::is_below(request.path(), path);
        if self.document.api_paths.iter().any(is_below) {
            return false;
        }
        let value = |name: &'static [u8]| request.values(name).next();
        let is_navigation = match value(b"sec-fetch-mode") {
            Some(mode) => mode == b"navigate",
            None => value(b"x-requested-with").is_none(),
        };
        let accepts = |value: &[u8]| memchr::memmem::find(value, b"text/html").is_some();
        is_navigation && request.values(b"accept").any(accepts)
    }

    /// Sends a browser to the provider. `None` where the provider is not known yet.
    pub fn begin(&self, request: &Request, path: &str, now_ms: u64) -> Option<Handoff> {
        let provider = self.provider.load_full()?;
        let (state, nonce, verifier) = (random_name()?, random_name()?, random_secret()?);
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let path = if path.len() > MAX_RETURN { "/" } else { path };
        let mut location = Url::new(&provider.authorization_endpoint);
        location.add("response_type", "code");
        location.add("client_id", &self.document.client_id);
        location.add("redirect_uri", &self.callback(request));
        location.add("scope", &self.document.scopes.join(" "));
        location.add("state", &state);
        location.add("nonce", &nonce);
        location.add("code_challenge", &challenge);
        location.add("code_challenge_method", "S256");
        for (name, value) in &self.document.parameters {
            location.add(name, value);
        }
        let pending = Pending { state, nonce, verifier, path: path.to_owned(), began_ms: now_ms };
        let sealed = self.seal("login", "", &pending)?;
        let mut lines = Vec::new();
        let begun = self.jar.all_pending(request);
        if begun.len() >= MAX_PENDING {
            begun.iter().for_each(|name| self.jar.forget_pending(name, &mut lines));
        }
        let seconds = self.document.login_timeout_ms / 1000;
        self.jar.set_pending(&pending.state, &sealed, seconds, &mut lines);
        Some(Handoff { location: location.finish(), lines, by_page: false })
    }

    /// The login that this browser began with this state, unless that is too long ago.
    pub fn pending(&self, request: &Request, state: &str, now_ms: u64) -> Option<Pending> {
        let pending: Pending = self.unseal("login", "", self.jar.pending(request, state)?)?;
        let is_same =
            aws_lc_rs::constant_time::verify_slices_are_equal(pending.state.as_bytes(), state.as_bytes());
        let age = now_ms.saturating_sub(pending.began_ms);
        (is_same.is_ok() && age <= self.document.login_timeout_ms).then_some(pending)
    }

    /// The address that the provider sends browsers back to.
    pub fn callback(&self, request: &Request) -> String {
        format!("{}{}/callback", self.origin(request), self.document.prefix)
    }

    /// Where browsers reach the gateway.
    fn origin(&self, request: &Request) -> String {
        if let Some(external) = &self.document.external_url {
            return external.clone();
        }
        let scheme = if request.scheme == Scheme::Https { "https" } else { "http" };
        format!("{scheme}://{}", request.str(request.authority))
    }

    /// A new session of the user whom the provider has named.
    pub fn session(&self, granted: &GrantedDocument, now_ms: u64) -> Option<Session> {
        Some(Session {
            id: random_name()?,
            named: granted.named.clone()?,
            token: random_name()?,
            began_ms: now_ms,
            seen_ms: now_ms,
            access_until_ms: granted.access_until_ms(now_ms),
        })
    }

    /// The cookies of a session and of what the provider gave for it; `None` where they cannot be made.
    pub fn keep(
        &self,
        request: &Request,
        session: &Session,
        tokens: &Tokens,
        now_ms: u64,
    ) -> Option<Vec<u8>> {
        let mut lines = self.mark(session, now_ms)?;
        let seconds = self.seconds_left(session, now_ms);
        self.jar.set_readable(&session.token, seconds, &mut lines);
        // The ID token is a convenience of the logout, the first to be left out where there is too much. Without the other
        // one there is no refresh, and the session ends with what was granted.
        let less = [tokens.clone(), Tokens { id: None, ..tokens.clone() }, Tokens::default()];
        for tokens in less {
            let sealed = self.seal("tokens", &session.id, &tokens)?;
            if self.jar.set_tokens(request, &sealed, seconds, &mut lines) {
                break;
            }
        }
        Some(lines)
    }

    /// The cookie of a session that was seen now, or refreshed.
    pub fn mark(&self, session: &Session, now_ms: u64) -> Option<Vec<u8>> {
        // A cache that kept cookies with what they came with would hand the session to everybody.
        let mut lines = b"cache-control: private\r\n".to_vec();
        let seen = Session { seen_ms: now_ms, ..session.clone() };
        let sealed = self.seal("session", "", &seen)?;
        self.jar.set_session(&sealed, self.seconds_left(session, now_ms), &mut lines);
        Some(lines)
    }

    fn seconds_left(&self, session: &Session, now_ms: u64) -> u64 {
        self.end_of(session).saturating_sub(now_ms).div_ceil(1000)
    }

    /// A cookie of this identity that has not been tampered with.
    pub fn open(&self, sealed: &[u8]) -> Option<Session> {
        self.unseal("session", "", sealed)
    }

    /// What the provider gave for this session.
    pub fn tokens(&self, request: &Request, session: &Session) -> Option<Tokens> {
        self.unseal("tokens", &session.id, &self.jar.tokens(request)?)
    }

    /// When it ends, however much it is used.
    pub fn end_of(&self, session: &Session) -> u64 {
        session.began_ms.saturating_add(self.document.session.lifetime_ms)
    }

    pub fn lifetime_ms(&self) -> u64 {
        self.document.session.lifetime_ms
    }

    pub fn standing(&self, session: &Session, now_ms: u64) -> Standing {
        let settings = &self.document.session;
        let end = self.end_of(session).min(session.seen_ms.saturating_add(settings.idle_ms));
        // A clock that went back must not lengthen anything.
        if now_ms >= end || session.began_ms > now_ms + settings.idle_ms {
            return Standing::Over;
        }
        let mark = session.seen_ms.saturating_add(settings.idle_ms / MARKS);
        let access = session.access_until_ms.unwrap_or(u64::MAX);
        let due = access.saturating_sub(settings.refresh_ahead_ms);
        if now_ms >= access {
            Standing::Stale
        } else if now_ms >= due {
            Standing::Due { until_ms: access.min(end) }
        } else if now_ms >= mark {
            Standing::Unmarked
        } else {
            Standing::Good { until_ms: end.min(due).min(mark) }
        }
    }

    /// Where a browser goes after its logout: to the provider, where that ends sessions, too.
    pub fn farewell(&self, request: &Request, tokens: Option<&Tokens>) -> String {
        let after = &self.document.after_logout;
        let provider = self.provider.load_full();
        let Some(endpoint) = provider.as_ref().and_then(|known| known.end_session_endpoint.as_ref()) else {
            return after.clone();
        };
        let mut location = Url::new(endpoint);
        if let Some(hint) = tokens.and_then(|tokens| tokens.id.as_ref()) {
            location.add("id_token_hint", hint);
        }
        location.add("client_id", &self.document.client_id);
        let back = if after.starts_with('/') { self.origin(request) + after } else { after.clone() };
        location.add("post_logout_redirect_uri", &back);
        location.finish()
    }

    /// A redirect from the provider is one from another site, and does not carry a cookie that is `Strict`.
    pub fn needs_page(&self) -> bool {
        self.document.session.same_site == SameSiteDocument::Strict
    }

    fn context(&self, purpose: &str, of: &str) -> Vec<u8> {
        [purpose, &self.name, &self.document.client_id, of].join("\0").into_bytes()
    }

    fn seal<T: Serialize>(&self, purpose: &str, of: &str, content: &T) -> Option<String> {
        let plain = serde_json::to_vec(content).ok()?;
        self.sealer.seal(&self.context(purpose, of), &plain)
    }

    fn unseal<T: DeserializeOwned>(&self, purpose: &str, of: &str, sealed: &[u8]) -> Option<T> {
        let plain = self.sealer.open(&self.context(purpose, of), sealed)?;
        serde_json::from_slice(&plain).ok()
    }
}
