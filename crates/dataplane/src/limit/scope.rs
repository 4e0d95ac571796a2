//! What of a request makes the subject of a tier.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::fingerprint;
use super::subject::{MAX_PARTS, Part, Subject};
use crate::caller::Caller;
use crate::claims::Claims;
use crate::request::Request;
use crate::snapshot::document::{PerDocument, TierDocument};

/// Parts on the stack, of which a subject is the first few.
pub(super) type Parts<'a> = [Part<&'a str>; MAX_PARTS];

/// What subjects are made of.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) caller: &'a Caller,
    pub(super) tenant: Option<&'a str>,
    pub(super) request: &'a Request,
    pub(super) route: &'a str,
    /// Empty where the route has none.
    pub(super) service: &'a str,
}

#[derive(Debug)]
pub(super) struct Scope {
    per: Box<[PerDocument]>,
    v6_prefix: u8,
}

impl Scope {
    pub(super) fn compile(document: &TierDocument) -> Result<Self, String> {
        let per = &document.per;
        if !(1..=MAX_PARTS).contains(&per.len()) {
            return Err(format!("it counts by {} things; 1 to {MAX_PARTS} would work", per.len()));
        }
        if per.iter().enumerate().any(|(index, one)| per.iter().take(index).any(|other| other == one)) {
            return Err("it counts by the same thing twice".to_owned());
        }
        Ok(Self { per: per.as_slice().into(), v6_prefix: document.ipv6_prefix })
    }

    /// The subject of a request, put in `parts`.
    pub(super) fn subject<'p, 'a: 'p>(
        &'a self,
        asked: &Asked<'a>,
        parts: &'p mut Parts<'a>,
    ) -> &'p Subject<'a> {
        for (place, per) in parts.iter_mut().zip(&self.per) {
            *place = self.part(per, asked);
        }
        parts.get(..self.per.len()).unwrap_or_default()
    }

    /// Whom a request is charged to that has no caller and no route: its address, unless the tier is one count for all.
    pub(super) fn client(&self, address: IpAddr) -> Part<&'static str> {
        match self.per.as_ref() {
            [PerDocument::Global] => Part::Global,
            _ => Part::address(address, self.v6_prefix),
        }
    }

    /// By the caller's name where it has one, otherwise by its address: nobody goes uncounted.
    fn part<'a>(&'a self, per: &'a PerDocument, asked: &Asked<'a>) -> Part<&'a str> {
        let user = || asked.caller.user.as_deref().map(Part::User);
        let api_key = || asked.caller.key_id.as_deref().map(Part::ApiKey);
        let client = || Part::address(asked.request.client, self.v6_prefix);
        let named = || user().or_else(api_key).unwrap_or_else(client);
        match per {
            PerDocument::User => named(),
            PerDocument::ApiKey => api_key().or_else(user).unwrap_or_else(client),
            PerDocument::ClientIp => client(),
            PerDocument::Route => Part::Route(asked.route),
            PerDocument::Service => Part::Service(asked.service),
            PerDocument::Global => Part::Global,
            PerDocument::Header(name) => match asked.request.values(name.as_bytes()).next() {
                Some(value) => Part::Header { name, digest: shortened(value) },
                None => client(),
            },
            PerDocument::Tenant => asked.tenant.map(Part::Tenant).unwrap_or_else(named),
            PerDocument::Claim(path) => match asked.caller.claims.as_ref().and_then(|all| claim(all, path)) {
                Some(digest) => Part::Claim { name: path, digest },
                None => named(),
            },
            PerDocument::Fingerprint => Part::Fingerprint(fingerprint::of(asked.request)),
        }
    }
}

/// What tells values of a claim apart. One that is missing, `null`, a list or an object tells nobody apart.
fn claim(claims: &Claims, path: &str) -> Option<[u8; 16]> {
    match claims.find(path)? {
        Value::String(text) => Some(shortened(text.as_bytes())),
        value @ (Value::Bool(_) | Value::Number(_)) => Some(shortened(value.to_string().as_bytes())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Half of SHA-256: enough that nobody finds two values alike, and the same in every process.
fn shortened(value: &[u8]) -> [u8; 16] {
    let digest = digest(&SHA256, value);
    let half = digest.as_ref().first_chunk::<16>();
    half.copied().unwrap_or_default()
}
