//! Stickiness: a cookie of the gateway's own brings a client back to the instance that it had before.
//!
//! The cookie holds a keyed hash of the instance and nothing else: it cannot be guessed, tells nobody an address, and
//! means the same on every node with the same secret, after every reload and restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashMap;

use super::choose::Chosen;
use super::instance::Instance;
use super::key;
use super::roster::Roster;
use super::service::Service;
use super::standing::Standing;
use super::target::Ask;
use crate::snapshot::document::{SameSite, StickyDocument};

/// Bytes of the hash that the cookie holds.
const TOKEN_BYTES: usize = 16;

/// The tokens of a list of instances, and the cookies that carry them.
#[derive(Debug)]
pub(super) struct Pins {
    places: HashMap<String, u32>,
    /// By where an instance lies in memory, which the roster keeps it at.
    cookies: HashMap<usize, Arc<[u8]>>,
}

impl Pins {
    pub(super) fn new(instances: &[Arc<Instance>], settings: &StickyDocument) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, settings.secret.as_bytes());
        let tokens: Vec<String> = instances.iter().map(|instance| token(&key, instance)).collect();
        let cookies = tokens.iter().map(|token| cookie(token, settings).into_bytes().into());
        Self {
            cookies: instances.iter().map(address_of).zip(cookies).collect(),
            places: tokens.into_iter().zip(0..).collect(),
        }
    }
}

fn token(key: &hmac::Key, instance: &Instance) -> String {
    let hash = hmac::sign(key, format!("{} {}", instance.name, instance.address).as_bytes());
    URL_SAFE_NO_PAD.encode(hash.as_ref().get(..TOKEN_BYTES).unwrap_or_default())
}

fn cookie(token: &str, settings: &StickyDocument) -> String {
    let mut line = format!("{}={token}; Path={}", settings.cookie, settings.path);
    if let Some(seconds) = settings.max_age_s {
        line += &format!("; Max-Age={seconds}");
    }
    line += match settings.same_site {
        SameSite::Strict => "; HttpOnly; SameSite=Strict",
        SameSite::Lax => "; HttpOnly; SameSite=Lax",
        SameSite::None => "; HttpOnly; SameSite=None",
    };
    if settings.secure {
        line += "; Secure";
    }
    line
}

/// What became of the client's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    /// The service has no stickiness.
    None,
    /// The client came with the cookie, and meets its instance.
    Kept,
    /// Its instance may not be asked, or is gone.
    Moved,
    /// It had no cookie.
    New,
}

impl Bond {
    pub(super) fn wants_cookie(self) -> bool {
        match self {
            Self::Moved | Self::New => true,
            Self::None | Self::Kept => false,
        }
    }

    /// For the trail. Never the token: whoever has it can choose the instance.
    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Kept => Some("kept"),
            Self::Moved => Some("moved"),
            Self::New => Some("new"),
        }
    }
}

/// The instance that the request's cookie names, if it may be asked.
pub(super) fn find<'r>(
    service: &Service,
    roster: &'r Roster,
    ask: &Ask<'_>,
) -> (Option<&'r Arc<Instance>>, Bond) {
    let (Some(settings), Some(pins)) = (&service.balance.sticky, &roster.members.pins) else {
        return (None, Bond::None);
    };
    let Some(value) = key::cookie(ask.request, &settings.cookie) else { return (None, Bond::New) };
    let place = std::str::from_utf8(value).ok().and_then(|value| pins.places.get(value));
    let instance = place.and_then(|place| roster.members.instances.get(*place as usize));
    let is_in = place.and_then(|place| roster.is_in.get(*place as usize)).copied().unwrap_or(false);
    let usable = instance.filter(|instance| is_in || waits(service, instance, settings, ask.now));
    (usable, if usable.is_some() { Bond::Kept } else { Bond::Moved })
}

/// One that drains keeps its clients for a while, as long as it is well.
fn waits(service: &Service, instance: &Instance, settings: &StickyDocument, now: Instant) -> bool {
    let wait = Duration::from_millis(settings.drain_wait_ms);
    let since = instance.draining_since();
    since.is_some_and(|since| now < since + wait) && service.condition(instance, now) == Standing::Healthy
}

/// The `Set-Cookie` that leads back to an instance.
pub(super) fn cookie_of(roster: &Roster, (instance, _): Chosen<'_>) -> Option<Arc<[u8]>> {
    roster.members.pins.as_ref()?.cookies.get(&address_of(instance)).cloned()
}

fn address_of(instance: &Arc<Instance>) -> usize {
    Arc::as_ptr(instance) as usize
}

pub(super) fn check(document: &StickyDocument) -> Result<(), String> {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
    if document.cookie.is_empty() || !is_plain(&document.cookie) || document.cookie.contains('=') {
        return Err(format!("`{}` is not the name of a cookie", document.cookie.escape_debug()));
    }
    if !document.path.starts_with('/') || !is_plain(&document.path) {
        return Err(format!("`{}` is not the path of a cookie", document.path.escape_debug()));
    }
    Ok(())
}
