//! Tokens that are bound to something that whoever sends them has to have (RFC 7800): to the certificate of the connection
//! (RFC 8705), or to a key. A token that says so is always held to it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::caller::Confirmation;
use crate::claims::Claims;
use crate::refusal::CredentialFault;
use crate::request::Request;

/// What a token is bound to. One that is bound in other ways alone is refused, since nobody could check them.
pub(super) fn read(claims: &Claims) -> Result<Option<Box<Confirmation>>, CredentialFault> {
    let Some(value) = claims.get("cnf") else { return Ok(None) };
    let members = value.as_object().ok_or(CredentialFault::Malformed)?;
    let digest = |name| members.get(name).map(fingerprint).transpose();
    let (certificate, key) = (digest("x5t#S256")?, digest("jkt")?);
    if certificate.is_none() && key.is_none() {
        return Err(CredentialFault::UnknownBinding);
    }
    Ok(Some(Box::new(Confirmation { certificate, key })))
}

fn fingerprint(value: &Value) -> Result<[u8; 32], CredentialFault> {
    let text = value.as_str().ok_or(CredentialFault::Malformed)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CredentialFault::Malformed)?;
    bytes.try_into().map_err(|_| CredentialFault::Malformed)
}

/// Has the client of this connection shown the certificate that the token is bound to?
pub(super) fn check_certificate(
    fingerprint: &[u8; 32],
    request: &Request,
    now_unix_ms: u64,
) -> Result<(), CredentialFault> {
    let shown = request.secured.as_ref().and_then(|secured| secured.client.as_ref());
    let certificate = shown.ok_or(CredentialFault::NoCertificate)?;
    if certificate.fingerprint() != fingerprint {
        return Err(CredentialFault::OtherCertificate);
    }
    // A connection may outlive the certificate that it was opened with.
    if certificate.is_expired(now_unix_ms) { Err(CredentialFault::Expired) } else { Ok(()) }
}
