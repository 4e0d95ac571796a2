//! What an identity demands of a claim that means nothing to the gateway itself.

use serde_json::Value;

use crate::claims::Claims;
use crate::snapshot::document::ClaimTestDocument;

pub(super) struct ClaimTest {
    path: Box<str>,
    /// `None`: it need only be there.
    equals: Option<Box<[Value]>>,
}

impl ClaimTest {
    pub(super) fn compile(document: &ClaimTestDocument) -> Self {
        Self { path: document.claim.as_str().into(), equals: document.equals.clone().map(Into::into) }
    }

    /// Is the claim there, and one of the values? Of a list one element is enough. `null` is not there.
    pub(super) fn holds(&self, claims: &Claims) -> bool {
        let Some(claim) = claims.find(&self.path).filter(|claim| !claim.is_null()) else { return false };
        let Some(values) = &self.equals else { return true };
        let is_wanted = |claim: &Value| values.iter().any(|value| is_same(claim, value));
        is_wanted(claim) || claim.as_array().is_some_and(|list| list.iter().any(is_wanted))
    }
}

/// `1` and `1.0` are one number.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| other.as_f64() == Some(number))
}
