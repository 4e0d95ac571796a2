//! Stickiness: a cookie of the gateway's own brings a client back to the instance that it had before.
//!
//! The cookie holds a keyed hash of the instance and nothing else: it cannot be guessed, tells nobody an address, and
//! means the same on every node with the same secret, after every reload and restart.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashMap;

use super::instance::Instance;
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

    /// Position of the instance that a token names.
    pub(super) fn place(&self, token: &str) -> Option<u32> {
        self.places.get(token).copied()
    }

    /// The `Set-Cookie` that leads back to an instance.
    pub(super) fn cookie(&self, instance: &Arc<Instance>) -> Option<Arc<[u8]>> {
        self.cookies.get(&address_of(instance)).cloned()
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
