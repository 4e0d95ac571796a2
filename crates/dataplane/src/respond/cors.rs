//! Cross-origin requests (the Fetch standard's CORS protocol): one answer per route, preflights included (RS-7, O11).

use crate::exchange::Exchange;
use crate::request::{Known, Method, Request};
use crate::snapshot::document::CorsDocument;

/// A route's rules, as header lines.
#[derive(Debug)]
pub struct Cors {
    any_origin: bool,
    origins: Vec<Box<[u8]>>,
    /// Sent with every allowed answer.
    actual_lines: Vec<u8>,
    /// Sent with every allowed preflight.
    preflight_lines: Vec<u8>,
}

impl Cors {
    pub fn compile(document: &CorsDocument) -> Self {
        let (mut actual, mut preflight) = (String::new(), String::new());
        if document.allow_credentials {
            actual.push_str("access-control-allow-credentials: true\r\n");
        }
        preflight.push_str(&actual);
        if !document.expose_headers.is_empty() {
            actual.push_str(&format!(
                "access-control-expose-headers: {}\r\n",
                document.expose_headers.join(", ")
            ));
        }
        preflight
            .push_str(&format!("access-control-allow-methods: {}\r\n", document.allow_methods.join(", ")));
        if !document.allow_headers.is_empty() {
            preflight.push_str(&format!(
                "access-control-allow-headers: {}\r\n",
                document.allow_headers.join(", ")
            ));
        }
        preflight.push_str(&format!("access-control-max-age: {}\r\n", document.max_age_s));
        Self {
            any_origin: document.allow_origins.iter().any(|origin| origin == "*"),
            origins: document.allow_origins.iter().map(|origin| origin.as_bytes().into()).collect(),
            actual_lines: actual.into_bytes(),
            preflight_lines: preflight.into_bytes(),
        }
    }

    /// The value of `Access-Control-Allow-Origin` for this request, if its origin is allowed.
    fn allowed<'a>(&self, request: &'a Request) -> Option<&'a [u8]> {
        let origin = request.known(Known::Origin)?;
        if self.any_origin {
            return Some(b"*");
        }
        self.origins.iter().any(|allowed| **allowed == *origin).then_some(origin)
    }

    pub fn write<E: Exchange>(&self, exchange: &mut E, request: &Request) {
        self.write_with(exchange, request, &self.actual_lines);
    }

    pub fn write_preflight<E: Exchange>(&self, exchange: &mut E, request: &Request) {
        self.write_with(exchange, request, &self.preflight_lines);
    }

    fn write_with<E: Exchange>(&self, exchange: &mut E, request: &Request, lines: &[u8]) {
        // The answer depends on the origin even when this request has none, so caches must know.
        if !self.any_origin {
            exchange.header_lines(b"vary: Origin\r\n");
        }
        if let Some(origin) = self.allowed(request) {
            exchange.header(b"access-control-allow-origin", origin);
            exchange.header_lines(lines);
        }
    }
}

/// The method that a preflight asks about; `None` where the request is no preflight.
pub fn preflight_method(request: &Request) -> Option<&[u8]> {
    if request.method != Method::Options || request.known(Known::Origin).is_none() {
        return None;
    }
    request.values(b"access-control-request-method").next()
}
