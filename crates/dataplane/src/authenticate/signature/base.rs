//! The text that is signed, made from the canonical request: what the signature speaks of is what is routed, authorised and
//! sent on (RFC 9421 section 2.5).

use super::input::Input;
use crate::refusal::CredentialFault;
use crate::request::{Request, Scheme};

/// Refuses components that are not in the request, and derived ones that are not supported.
pub(super) fn base(request: &Request, input: &Input<'_>) -> Result<Vec<u8>, CredentialFault> {
    let mut base = Vec::with_capacity(512);
    for name in &input.components {
        base.extend_from_slice(b"\"");
        base.extend_from_slice(name.as_bytes());
        base.extend_from_slice(b"\": ");
        if name.starts_with('@') {
            derived(request, name, &mut base)?
        } else {
            field(request, name, &mut base)?
        }
        base.push(b'\n');
    }
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(input.text.as_bytes());
    Ok(base)
}

/// Does one component of the signature cover another that is demanded?
pub(super) fn covers(component: &str, wanted: &str) -> bool {
    let parts: &[&str] = match component {
        "@target-uri" => &["@scheme", "@authority", "@path", "@query", "@request-target"],
        "@request-target" => &["@path", "@query"],
        _ => &[],
    };
    component == wanted || parts.contains(&wanted)
}

fn derived(request: &Request, name: &str, base: &mut Vec<u8>) -> Result<(), CredentialFault> {
    match name {
        "@method" => base.extend_from_slice(request.method().as_bytes()),
        "@scheme" => base.extend_from_slice(scheme(request)),
        "@authority" => authority(request, base),
        "@path" => base.extend_from_slice(request.path().as_bytes()),
        "@query" => {
            base.push(b'?');
            base.extend_from_slice(request.query().as_bytes());
        }
        "@request-target" => target(request, base),
        "@target-uri" => {
            base.extend_from_slice(scheme(request));
            base.extend_from_slice(b"://");
            authority(request, base);
            target(request, base);
        }
        _ => return Err(CredentialFault::Malformed),
    }
    Ok(())
}

fn scheme(request: &Request) -> &'static [u8] {
    match request.scheme {
        Scheme::Http => b"http",
        Scheme::Https => b"https",
    }
}

/// The port of the scheme is left out (RFC 9421 section 2.2.3).
fn authority(request: &Request, base: &mut Vec<u8>) {
    let host = request.host();
    base.extend_from_slice(host.as_bytes());
    let authority = request.str(request.authority);
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'));
    let own = match request.scheme {
        Scheme::Http => "80",
        Scheme::Https => "443",
    };
    if let Some(port) = port.filter(|port| !port.is_empty() && *port != own) {
        base.push(b':');
        base.extend_from_slice(port.as_bytes());
    }
}

fn target(request: &Request, base: &mut Vec<u8>) {
    base.extend_from_slice(request.path().as_bytes());
    if request.query.is_some() {
        base.push(b'?');
        base.extend_from_slice(request.query().as_bytes());
    }
}

/// All values of a header, in the order sent.
fn field(request: &Request, name: &str, base: &mut Vec<u8>) -> Result<(), CredentialFault> {
    let start = base.len();
    let mut is_there = false;
    for value in request.values(name.as_bytes()) {
        if is_there {
            base.extend_from_slice(b", ");
        }
        base.extend_from_slice(value);
        is_there = true;
    }
    // A line break would make two components of one; intake lets none in.
    let is_sound = !base.get(start..).unwrap_or_default().contains(&b'\n');
    if is_there && is_sound { Ok(()) } else { Err(CredentialFault::UnsignedPart) }
}
