//! Callers who prove themselves with the certificate of their TLS connection. The handshake has verified it; here is decided
//! whom it names.

use std::sync::Arc;

use super::attempt::Attempt;
use super::identity::Failure;
use crate::caller::{Caller, CallerKind, is_header_safe, is_scope};
use crate::refusal::CredentialFault;
use crate::snapshot::document::{CertificateFieldDocument, MtlsDocument};
use crate::tls::ClientCertificate;

pub(super) struct CertificateIdentity {
    user_from: CertificateFieldDocument,
    scopes: Vec<Arc<str>>,
    /// Sorted.
    allow: Option<Vec<Box<str>>>,
}

impl CertificateIdentity {
    pub(super) fn compile(document: &MtlsDocument) -> Result<Self, String> {
        if let Some(scope) = document.scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(format!("the scope `{scope}` is not visible ASCII without spaces"));
        }
        let allow = document.allow.as_ref().map(|names| {
            let mut names: Vec<Box<str>> = names.iter().map(|name| name.as_str().into()).collect();
            names.sort_unstable();
            names
        });
        let scopes = document.scopes.iter().map(|scope| scope.as_str().into()).collect();
        Ok(Self { user_from: document.user_from, scopes, allow })
    }

    pub(super) fn identify(&self, index: u32, attempt: &Attempt<'_>) -> Result<Arc<Caller>, Failure> {
        let secured = attempt.request().secured.as_ref();
        let certificate = secured.and_then(|secured| secured.client.as_ref());
        let certificate = certificate.ok_or(CredentialFault::Missing)?;
        Ok(self.judge(index, certificate, attempt.now_unix_ms())?)
    }

    fn judge(
        &self,
        index: u32,
        certificate: &ClientCertificate,
        now_ms: u64,
    ) -> Result<Arc<Caller>, CredentialFault> {
        // A connection may outlive the certificate that it was opened with.
        if certificate.is_expired(now_ms) {
            return Err(CredentialFault::Expired);
        }
        let name = certificate.name(self.user_from).ok_or(CredentialFault::NoName)?;
        if !is_header_safe(name) {
            return Err(CredentialFault::Malformed);
        }
        let is_allowed = |names: &Vec<Box<str>>| names.binary_search_by(|one| (**one).cmp(name)).is_ok();
        if !self.allow.as_ref().is_none_or(is_allowed) {
            return Err(CredentialFault::UnknownKey);
        }
        let caller = Caller::new(CallerKind::Certificate, Some(index), self.scopes.clone());
        Ok(Arc::new(Caller { user: Some(name.into()), ..caller }))
    }
}
