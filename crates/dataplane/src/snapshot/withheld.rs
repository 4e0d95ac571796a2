//! Which parts of a request carry credentials, and whether a route sends them on.

use crate::proxy::withheld::{Claimed, Withheld};
use crate::snapshot::document::{
    IdentityDocument, IdentityKindDocument, JwtDocument, RouteDocument, SnapshotDocument,
};

const AUTHORIZATION: &str = "authorization";

/// A token's header and cookie go on with `forward_authorization`, an API key's header with `forward_api_key`, a
/// parameter of the query never: it would end up in the service's log. `Authorization` is a token's unless an identity
/// says otherwise: clients mean the gateway with it on every route.
pub(super) fn compile(document: &SnapshotDocument, route: &RouteDocument) -> Withheld {
    let identities = &document.identities;
    let withholds_tokens = !route.forward_authorization;
    let cookies = tokens(identities).filter(|_| withholds_tokens).filter_map(|jwt| jwt.cookie.as_deref());
    Withheld {
        headers: headers(identities, route),
        cookies: names(cookies),
        parameters: names(parameters(identities)),
        claimed: claimed(document),
        sessions: names(sessions(identities)),
    }
}

/// On every route: a service trusts these names whoever called it.
fn claimed(document: &SnapshotDocument) -> Option<Claimed> {
    let headers = tokens(&document.identities).flat_map(|jwt| &jwt.claim_headers);
    let country = document.screening.country_header.as_deref();
    let mut names: Vec<&str> = headers.map(|header| header.header.as_str()).chain(country).collect();
    names.sort_unstable();
    names.dedup();
    Claimed::new(&names)
}

/// Cookies of logins: with them, whoever runs a service could be each of its users.
fn sessions(identities: &[IdentityDocument]) -> impl Iterator<Item = &str> {
    identities.iter().filter_map(|identity| match &identity.kind {
        IdentityKindDocument::Oidc(oidc) => Some(oidc.session.cookie.as_str()),
        IdentityKindDocument::Jwt(_)
        | IdentityKindDocument::Introspection(_)
        | IdentityKindDocument::ApiKey(_)
        | IdentityKindDocument::Mtls(_)
        | IdentityKindDocument::Basic(_)
        | IdentityKindDocument::Signature(_) => None,
    })
}

/// Parameters of the query that carry credentials.
pub(super) fn parameters(identities: &[IdentityDocument]) -> impl Iterator<Item = &str> {
    tokens(identities).filter_map(|jwt| jwt.query.as_deref())
}

/// Parameters of the query that no record shows: those, and what a login is told again by.
pub(super) fn secret_parameters(identities: &[IdentityDocument]) -> impl Iterator<Item = &str> {
    parameters(identities).chain(sessions(identities).map(|_| "state"))
}

/// Headers that carry credentials, whether a route sends them on or not.
pub(super) fn credentials(identities: &[IdentityDocument]) -> impl Iterator<Item = &str> {
    identities.iter().filter_map(|identity| match &identity.kind {
        IdentityKindDocument::Jwt(jwt) => Some(jwt.header.as_str()),
        IdentityKindDocument::Introspection(introspection) => Some(introspection.tokens.header.as_str()),
        IdentityKindDocument::ApiKey(key) => Some(key.header.as_str()),
        IdentityKindDocument::Basic(_)
        | IdentityKindDocument::Signature(_)
        | IdentityKindDocument::Mtls(_)
        | IdentityKindDocument::Oidc(_) => None,
    })
}

pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> Box<[Box<str>]> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(Into::into).collect()
}

fn tokens(identities: &[IdentityDocument]) -> impl Iterator<Item = &JwtDocument> {
    identities.iter().filter_map(|identity| match &identity.kind {
        IdentityKindDocument::Jwt(jwt) => Some(&**jwt),
        IdentityKindDocument::Introspection(introspection) => Some(&introspection.tokens),
        IdentityKindDocument::ApiKey(_)
        | IdentityKindDocument::Mtls(_)
        | IdentityKindDocument::Oidc(_)
        | IdentityKindDocument::Basic(_)
        | IdentityKindDocument::Signature(_) => None,
    })
}

fn headers(identities: &[IdentityDocument], route: &RouteDocument) -> Box<[Box<[u8]>]> {
    let carriers = identities.iter().filter_map(|identity| match &identity.kind {
        IdentityKindDocument::Jwt(jwt) => Some((jwt.header.as_str(), route.forward_authorization)),
        IdentityKindDocument::Introspection(introspection) => {
            Some((introspection.tokens.header.as_str(), route.forward_authorization))
        }
        IdentityKindDocument::ApiKey(key) => Some((key.header.as_str(), route.forward_api_key)),
        IdentityKindDocument::Basic(_) => Some((AUTHORIZATION, route.forward_authorization)),
        // A signature is a proof and no secret: a service may check it once more.
        IdentityKindDocument::Mtls(_)
        | IdentityKindDocument::Oidc(_)
        | IdentityKindDocument::Signature(_) => None,
    });
    let mut withheld: Vec<&str> =
        carriers.clone().filter(|(_, goes_on)| !goes_on).map(|(header, _)| header).collect();
    let is_carrier = carriers.clone().any(|(header, _)| header == AUTHORIZATION);
    if !is_carrier && !route.forward_authorization {
        withheld.push(AUTHORIZATION);
    }
    withheld.sort_unstable();
    withheld.dedup();
    withheld.into_iter().map(|header| header.as_bytes().into()).collect()
}
