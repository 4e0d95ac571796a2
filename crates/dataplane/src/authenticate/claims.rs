//! What a verified token says, held against what the identity demands.

use std::sync::Arc;

use serde_json::Value;

use super::claim_headers::ClaimHeaders;
use super::claim_tests::ClaimTest;
use super::granted;
use crate::caller::{Roles, is_header_safe};
use crate::claims::Claims;
use crate::refusal::CredentialFault;
use crate::snapshot::document::{ClaimTestDocument, JwtDocument};

/// What one identity demands of claims.
pub(super) struct ClaimRules {
    /// Sorted; empty: any.
    issuers: Box<[String]>,
    audiences: Box<[String]>,
    leeway_ms: i64,
    require_expiry: bool,
    max_age_ms: Option<i64>,
    required: Box<[ClaimTest]>,
    forbidden: Box<[ClaimTest]>,
    user_claim: Box<str>,
    scope_claims: Box<[String]>,
    tier_claim: Option<Box<str>>,
    role_claims: Box<[String]>,
    headers: ClaimHeaders,
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
    pub(super) roles: Option<Arc<Roles>>,
    pub(super) header_lines: Option<Arc<[u8]>>,
    pub(super) valid_from_ms: i64,
    pub(super) valid_until_ms: i64,
}

struct Times {
    issued_ms: Option<i64>,
    valid_from_ms: i64,
    valid_until_ms: i64,
}

impl ClaimRules {
    pub(super) fn compile(document: &JwtDocument) -> Result<Self, String> {
        let mut issuers = document.issuers.clone();
        issuers.sort_unstable();
        let tests = |list: &[ClaimTestDocument]| list.iter().map(ClaimTest::compile).collect();
        Ok(Self {
            issuers: issuers.into(),
            audiences: document.audiences.clone().into(),
            leeway_ms: bounded(document.leeway_ms),
            require_expiry: document.require_expiry,
            max_age_ms: document.max_age_ms.map(bounded),
            required: tests(&document.required_claims),
            forbidden: tests(&document.forbidden_claims),
            user_claim: document.user_claim.as_str().into(),
            scope_claims: document.scope_claims.clone().into(),
            tier_claim: document.tier_claim.as_deref().map(Into::into),
            role_claims: document.role_claims.clone().into(),
            headers: ClaimHeaders::compile(&document.claim_headers)?,
        })
    }

    /// Is there no issuer whose tokens both could accept?
    pub(super) fn excludes(&self, other: &Self) -> bool {
        let is_open = self.issuers.is_empty() || other.issuers.is_empty();
        !is_open && !self.issuers.iter().any(|issuer| other.may_accept(Some(issuer)))
    }

    /// Could a token that says this issuer be meant for this identity?
    pub(super) fn may_accept(&self, issuer: Option<&str>) -> bool {
        let is_own = |issuer: &str| self.issuers.binary_search_by(|own| own.as_str().cmp(issuer)).is_ok();
        self.issuers.is_empty() || issuer.is_some_and(is_own)
    }

    pub(super) fn check(&self, claims: &Claims, now_ms: i64) -> Result<Accepted, CredentialFault> {
        let Times { issued_ms, valid_from_ms, valid_until_ms } = self.check_times(claims, now_ms)?;
        if !self.may_accept(issuer_of(claims)?) {
            return Err(CredentialFault::WrongIssuer);
        }
        self.check_audience(claims)?;
        self.check_others(claims)?;
        Ok(Accepted {
            user: self.user(claims)?,
            scopes: granted::scopes(&self.scope_claims, claims)?,
            tier: self.tier(claims),
            id: text(claims, "jti")?.map(Into::into),
            issued_ms,
            roles: granted::roles(&self.role_claims, claims)?,
            header_lines: self.headers.lines(claims)?,
            valid_from_ms,
            valid_until_ms,
        })
    }

    fn check_times(&self, claims: &Claims, now_ms: i64) -> Result<Times, CredentialFault> {
        let issued_ms = numeric_date(claims, "iat")?;
        let until = self.until(claims, issued_ms)?;
        if now_ms >= until {
            return Err(CredentialFault::Expired);
        }
        let earliest = |date: Option<i64>| date.map_or(i64::MIN, |date| date.saturating_sub(self.leeway_ms));
        let not_before = earliest(numeric_date(claims, "nbf")?);
        if now_ms < not_before {
            return Err(CredentialFault::NotYetValid);
        }
        let issued = earliest(issued_ms);
        if now_ms < issued {
            return Err(CredentialFault::IssuedInFuture);
        }
        Ok(Times { issued_ms, valid_from_ms: not_before.max(issued), valid_until_ms: until })
    }

    /// Whichever comes first: what the issuer says, or the age that the identity allows (D18).
    fn until(&self, claims: &Claims, issued: Option<i64>) -> Result<i64, CredentialFault> {
        let expiry = match numeric_date(claims, "exp")? {
            Some(expiry) => expiry,
            None if self.require_expiry => return Err(CredentialFault::MissingExpiry),
            None => i64::MAX,
        };
        let Some(max_age_ms) = self.max_age_ms else { return Ok(expiry.saturating_add(self.leeway_ms)) };
        let issued = issued.ok_or(CredentialFault::MissingIssueTime)?;
        Ok(expiry.min(issued.saturating_add(max_age_ms)).saturating_add(self.leeway_ms))
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

    fn check_others(&self, claims: &Claims) -> Result<(), CredentialFault> {
        if !self.required.iter().all(|test| test.holds(claims)) {
            return Err(CredentialFault::MissingClaim);
        }
        if self.forbidden.iter().any(|test| test.holds(claims)) {
            return Err(CredentialFault::ForbiddenClaim);
        }
        Ok(())
    }

    /// A token without the claim has no user: limits then count by address.
    fn user(&self, claims: &Claims) -> Result<Option<Arc<str>>, CredentialFault> {
        match claims.find(&self.user_claim) {
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
}

fn bounded(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
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
