//! Whether a request that a browser vouches for was made by a page of this origin (requirement RS-8).
//!
//! Browsers send cookies whoever made the page. What they also send, and no page can forge, is where it came from:
//! `Sec-Fetch-Site` and `Origin`. Callers who send a token or a key of their own accord are asked nothing.

use aws_lc_rs::constant_time;

use crate::caller::{Ambient, Caller};
use crate::refusal::{CrossSiteFault, Refusal};
use crate::request::{Known, Method, Request, Scheme};
use crate::snapshot::document::CrossSiteDocument;

/// What is demanded of requests that change something.
#[derive(Clone, Debug, Default)]
pub struct CrossSite {
    /// Other origins whose pages may make them.
    trusted: Box<[Box<str>]>,
    /// Lower case: the header that has to carry the token of the session.
    token_header: Option<Box<str>>,
}

impl CrossSite {
    pub fn compile(document: &CrossSiteDocument) -> Self {
        Self {
            trusted: document.trusted_origins.iter().map(|origin| origin.as_str().into()).collect(),
            token_header: document.token_header.as_deref().map(Into::into),
        }
    }

    fn check(&self, request: &Request, caller: &Caller) -> Result<(), CrossSiteFault> {
        let Some(ambient) = &caller.ambient else { return Ok(()) };
        if !is_changing(request) {
            return Ok(());
        }
        self.check_origin(request)?;
        self.check_token(request, ambient)
    }

    fn check_origin(&self, request: &Request) -> Result<(), CrossSiteFault> {
        let origin = request.known(Known::Origin);
        if origin.is_some_and(|origin| self.trusted.iter().any(|trusted| trusted.as_bytes() == origin)) {
            return Ok(());
        }
        match site(request) {
            Site::Same => Ok(()),
            Site::Other => Err(CrossSiteFault::OtherSite),
            Site::Unsaid => match origin {
                None => Err(CrossSiteFault::NoOrigin),
                Some(origin) if is_own(request, origin) => Ok(()),
                Some(_) => Err(CrossSiteFault::OtherOrigin),
            },
        }
    }

    fn check_token(&self, request: &Request, ambient: &Ambient) -> Result<(), CrossSiteFault> {
        let (Some(name), Some(token)) = (&self.token_header, &ambient.token) else { return Ok(()) };
        let mut values = request.values(name.as_bytes());
        let sent = values.next().ok_or(CrossSiteFault::NoToken)?;
        let is_same = constant_time::verify_slices_are_equal(sent, token.as_bytes()).is_ok();
        if is_same && values.next().is_none() { Ok(()) } else { Err(CrossSiteFault::WrongToken) }
    }
}

/// Refuses a request that another site may have made a browser send. Where a route demands nothing, nothing is.
pub fn same_origin(policy: Option<&CrossSite>, request: &Request, caller: &Caller) -> Result<(), Refusal> {
    // Most callers are no browsers.
    if caller.ambient.is_none() {
        return Ok(());
    }
    policy.map_or(Ok(()), |policy| policy.check(request, caller)).map_err(Refusal::from)
}

/// The opening of a WebSocket changes what it leads to, although it is a `GET`.
fn is_changing(request: &Request) -> bool {
    match request.method {
        Method::Get | Method::Head | Method::Options | Method::Trace => {
            request.extended || request.known(Known::Upgrade).is_some()
        }
        Method::Post | Method::Put | Method::Patch | Method::Delete | Method::Connect | Method::Other => true,
    }
}

enum Site {
    Same,
    Other,
    /// Old browsers, and all where the connection is not secured.
    Unsaid,
}

/// `none` is what a person did: typed an address, opened a bookmark.
fn site(request: &Request) -> Site {
    let mut values = request.values(b"sec-fetch-site");
    match (values.next(), values.next()) {
        (None, _) => Site::Unsaid,
        (Some(b"same-origin" | b"none"), None) => Site::Same,
        (Some(_), _) => Site::Other,
    }
}

/// Is it the origin that the request was sent to?
fn is_own(request: &Request, origin: &[u8]) -> bool {
    let scheme: &[u8] = match request.scheme {
        Scheme::Http => b"http://",
        Scheme::Https => b"https://",
    };
    origin
        .strip_prefix(scheme)
        .is_some_and(|host| host.eq_ignore_ascii_case(request.slice(request.authority)))
}

/// May a browser be logged out by this? Whoever made the page that led here, it must not be another site.
pub fn may_log_out(request: &Request) -> Result<(), CrossSiteFault> {
    match (site(request), request.known(Known::Origin)) {
        (Site::Other, _) => Err(CrossSiteFault::OtherSite),
        (Site::Unsaid, Some(origin)) if !is_own(request, origin) => Err(CrossSiteFault::OtherOrigin),
        (Site::Same | Site::Unsaid, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::CallerKind;
    use crate::request::Header;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    fn request(method: Method, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::new(Ipv4Addr::LOCALHOST.into());
        request.method = method;
        request.authority = request.append(b"app.test:8443");
        request.scheme = Scheme::Https;
        for (name, value) in headers {
            let known = match *name {
                "origin" => Known::Origin,
                "upgrade" => Known::Upgrade,
                _ => Known::Other,
            };
            let (name, value) = (request.append(name.as_bytes()), request.append(value.as_bytes()));
            request.headers.push(Header { name, value, known });
        }
        request
    }

    fn caller(token: Option<&str>) -> Caller {
        let ambient = Ambient { token: token.map(Arc::from), marked: None };
        Caller { ambient: Some(Arc::new(ambient)), ..Caller::new(CallerKind::User, Some(0), Vec::new()) }
    }

    fn checked(policy: &CrossSite, headers: &[(&str, &str)]) -> Option<CrossSiteFault> {
        policy.check(&request(Method::Post, headers), &caller(Some("secret"))).err()
    }

    #[test]
    fn what_a_browser_says_of_the_page_goes_before_its_origin() {
        use CrossSiteFault::{NoOrigin, OtherOrigin, OtherSite};
        let own = ("origin", "https://app.test:8443");
        for (headers, fault) in [
            (&[("sec-fetch-site", "same-origin")][..], None),
            (&[("sec-fetch-site", "none")], None),
            (&[("sec-fetch-site", "same-site"), own], Some(OtherSite)),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], Some(OtherSite)),
            (&[own], None),
            (&[("origin", "https://APP.test:8443")], None),
            (&[("origin", "http://app.test:8443")], Some(OtherOrigin)),
            (&[("origin", "https://app.test")], Some(OtherOrigin)),
            (&[("origin", "https://app.test:8443.evil.test")], Some(OtherOrigin)),
            (&[("origin", "null")], Some(OtherOrigin)),
            (&[], Some(NoOrigin)),
        ] {
            assert_eq!(checked(&CrossSite::default(), headers), fault, "{headers:?}");
        }
    }

    #[test]
    fn methods_that_change_nothing_are_asked_nothing_but_upgrades_are() {
        let policy = CrossSite::default();
        for method in [Method::Get, Method::Head, Method::Options, Method::Trace] {
            assert_eq!(policy.check(&request(method, &[]), &caller(None)), Ok(()));
            let upgrade = request(method, &[("upgrade", "websocket")]);
            assert!(policy.check(&upgrade, &caller(None)).is_err());
        }
        for method in [Method::Put, Method::Patch, Method::Delete, Method::Other] {
            assert!(policy.check(&request(method, &[]), &caller(None)).is_err());
        }
        let mut extended = request(Method::Get, &[]);
        extended.extended = true;
        assert!(policy.check(&extended, &caller(None)).is_err());
    }

    #[test]
    fn a_token_is_demanded_of_sessions_that_have_one() {
        let policy = CrossSite { token_header: Some("x-token".into()), ..CrossSite::default() };
        let same = ("sec-fetch-site", "same-origin");
        assert_eq!(checked(&policy, &[same, ("x-token", "secret")]), None);
        assert_eq!(checked(&policy, &[same]), Some(CrossSiteFault::NoToken));
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert_eq!(checked(&policy, &[same, ("x-token", wrong)]), Some(CrossSiteFault::WrongToken));
        }
        let twice = [same, ("x-token", "secret"), ("x-token", "secret")];
        assert_eq!(checked(&policy, &twice), Some(CrossSiteFault::WrongToken));
        assert_eq!(policy.check(&request(Method::Post, &[same]), &caller(None)), Ok(()));
    }
}
