//! Why a request is not served for the tenant that it names, or for none.

use super::Refusal;

/// Of what a request says, for the record.
const LONGEST: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantFault {
    /// Nothing says whose it is.
    Missing,
    /// What says so does not agree.
    Mismatch,
    /// It is none of those that there are.
    Unknown,
    Disabled,
    /// The route is for others.
    NotAllowed,
}

impl TenantFault {
    /// The `error` of the body.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "tenant_required",
            Self::Mismatch => "tenant_mismatch",
            Self::Unknown => "tenant_unknown",
            Self::Disabled => "tenant_disabled",
            Self::NotAllowed => "tenant_not_allowed",
        }
    }

    /// What the client is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "the request does not say for which tenant it is",
            Self::Mismatch => "the request names different tenants",
            Self::Unknown => "there is no such tenant",
            Self::Disabled => "the tenant is disabled",
            Self::NotAllowed => "the tenant may not use this",
        }
    }

    /// The refusal, with what was said for the record.
    pub fn of(self, said: &[u8]) -> Refusal {
        let said = String::from_utf8_lossy(said.get(..LONGEST).unwrap_or(said));
        Refusal::Tenant { fault: self, said: said.as_ref().into() }
    }
}
