//! What a verified token says, held against what the identity demands.

use std::sync::Arc;

use serde_json::Value;

use crate::caller::{is_header_safe, is_scope};
use crate::claims::Claims;
use crate::refusal::CredentialFault;
use crate::snapshot::document::JwtDocument;

/// What one identity demands of claims.
pub(super) struct ClaimRules {
    issuer: Option<Box<str>>,
    audiences: Box<[String]>,
    leeway_ms: i64,
    require_expiry: bool,
    user_claim: Box<str>,
    scope_claims: Box<[String]>,
    tier_claim: Option<Box<str>>,
}

/// Claims that hold. The times have the leeway in them: good from `valid_from_ms`, no longer at `valid_until_ms`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) user: Option<Arc<str>>,
    pub(super) scopes: Vec<Arc<str>>,
    pub(super) tier: Option<Arc<str>>,
    /// `jti`.
    pub(super) id: Option<Box<str>>,
    pub(super) issued_ms: Option<i64>,
    pub(super) valid_from_ms: i64,
    pub(super) valid_until_ms: i64,
}

struct Times {
    issued_ms: Option<i64>,
    valid_from_ms: i64,
    valid_until_ms: i64,
}

impl ClaimRules {
    pub(super) fn compile(document: &JwtDocument) -> Self {
        Self {
            issuer: document.issuer.as_deref().map(Into::into),
            audiences: document.audiences.clone().into(),
            leeway_ms: i64::try_from(document.leeway_ms).unwrap_or(i64::MAX),
            require_expiry: document.require_expiry,
            user_claim: document.user_claim.as_str().into(),
            scope_claims: document.scope_claims.clone().into(),
            tier_claim: document.tier_claim.as_deref().map(Into::into),
        }
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Could a token that says this issuer be meant for this identity?
    pub(super) fn may_accept(&self, issuer: Option<&str>) -> bool {
        self.issuer.is_none() || self.issuer.as_deref() == issuer
    }

    pub(super) fn check(&self, claims: &Claims, now_ms: i64) -> Result<Accepted, CredentialFault> {
        let Times { issued_ms, valid_from_ms, valid_until_ms } = self.check_times(claims, now_ms)?;
        if !self.may_accept(issuer_of(claims)?) {
            return Err(CredentialFault::WrongIssuer);
        }
        self.check_audience(claims)?;
        Ok(Accepted {
            user: self.user(claims)?,
            scopes: self.scopes(claims)?,
            tier: self.tier(claims),
            id: text(claims, "jti")?.map(Into::into),
            issued_ms,
            valid_from_ms,
            valid_until_ms,
        })
    }

    fn check_times(&self, claims: &Claims, now_ms: i64) -> Result<Times, CredentialFault> {
        let until = match numeric_date(claims, "exp")? {
            Some(expiry) => expiry.saturating_add(self.leeway_ms),
            None if self.require_expiry => return Err(CredentialFault::MissingExpiry),
            None => i64::MAX,
        };
        if now_ms >= until {
            return Err(CredentialFault::Expired);
        }
        let earliest = |date: Option<i64>| date.map_or(i64::MIN, |date| date.saturating_sub(self.leeway_ms));
        let not_before = earliest(numeric_date(claims, "nbf")?);
        if now_ms < not_before {
            return Err(CredentialFault::NotYetValid);
        }
        let issued_ms = numeric_date(claims, "iat")?;
        let issued = earliest(issued_ms);
        if now_ms < issued {
            return Err(CredentialFault::IssuedInFuture);
        }
        Ok(Times { issued_ms, valid_from_ms: not_before.max(issued), valid_until_ms: until })
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), CredentialFault> {
        let accepts = |audience: &str| self.audiences.iter().any(|own| own == audience);
        let is_meant = match claims.get("aud") {
            None => self.audiences.is_empty(),
            Some(Value::String(audience)) => self.audiences.is_empty() || accepts(audience),
            Some(Value::Array(list)) => {
                if !list.iter().all(Value::is_string) {
                    return Err(CredentialFault::Malformed);
                }
                self.audiences.is_empty() || list.iter().filter_map(Value::as_str).any(accepts)
            }
            Some(_) => return Err(CredentialFault::Malformed),
        };
        if is_meant { Ok(()) } else { Err(CredentialFault::WrongAudience) }
    }

    /// A token without the claim has no user: limits then count by address.
    fn user(&self, claims: &Claims) -> Result<Option<Arc<str>>, CredentialFault> {
        match claims.get(&self.user_claim) {
            None => Ok(None),
            Some(Value::String(user)) if is_header_safe(user) => Ok(Some(user.as_str().into())),
            Some(_) => Err(CredentialFault::Malformed),
        }
    }

    /// What is no name of a tier leaves the caller with that of its tenant or its route.
    fn tier(&self, claims: &Claims) -> Option<Arc<str>> {
        let named = claims.find(self.tier_claim.as_deref()?)?.as_str()?;
        Some(named.into())
    }

    fn scopes(&self, claims: &Claims) -> Result<Vec<Arc<str>>, CredentialFault> {
        let mut scopes: Vec<Arc<str>> = Vec::new();
        for value in self.scope_claims.iter().filter_map(|claim| claims.get(claim)) {
            match value {
                Value::String(text) => {
                    for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
                        add_scope(&mut scopes, scope)?;
                    }
                }
                Value::Array(list) => {
                    for scope in list {
                        add_scope(&mut scopes, scope.as_str().ok_or(CredentialFault::Malformed)?)?;
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                    return Err(CredentialFault::Malformed);
                }
            }
        }
        Ok(scopes)
    }
}

/// `iss` of claims that nobody need have verified: good for choosing an identity, never for trusting one.
pub(super) fn issuer_of(claims: &Claims) -> Result<Option<&str>, CredentialFault> {
    text(claims, "iss")
}

fn text<'a>(claims: &'a Claims, name: &str) -> Result<Option<&'a str>, CredentialFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(CredentialFault::Malformed),
    }
}

fn add_scope(scopes: &mut Vec<Arc<str>>, scope: &str) -> Result<(), CredentialFault> {
    if !is_scope(scope) {
        return Err(CredentialFault::Malformed);
    }
    if !scopes.iter().any(|own| **own == *scope) {
        scopes.push(scope.into());
    }
    Ok(())
}

/// A NumericDate (RFC 7519 section 2) in milliseconds. It may have a fraction.
pub(super) fn numeric_date(claims: &Claims, name: &str) -> Result<Option<i64>, CredentialFault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(seconds.saturating_mul(1000)));
    }
    let seconds = value.as_f64().ok_or(CredentialFault::Malformed)?;
    // The cast saturates, so a date beyond all calendars stays beyond them.
    Ok(Some((seconds * 1000.0) as i64))
}
