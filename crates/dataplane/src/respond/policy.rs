//! What a route adds to its responses, compiled into bytes.

use crate::exchange::Exchange;
use crate::http1::response_names::KnownResponse;
use crate::request::{Request, Scheme};
use crate::respond::compress::Compression;
use crate::respond::cors::Cors;
use crate::snapshot::document::{HeaderChangesDocument, RouteDocument};

/// Added to every response that lacks them (requirement RS-5, D61). The last one belongs to TLS and is added there alone.
const SECURITY: [(KnownResponse, &[u8]); 7] = [
    (KnownResponse::XContentTypeOptions, b"x-content-type-options: nosniff\r\n"),
    (KnownResponse::XFrameOptions, b"x-frame-options: DENY\r\n"),
    (KnownResponse::XXssProtection, b"x-xss-protection: 1; mode=block\r\n"),
    (KnownResponse::ContentSecurityPolicy, b"content-security-policy: default-src 'self'\r\n"),
    (KnownResponse::ReferrerPolicy, b"referrer-policy: strict-origin-when-cross-origin\r\n"),
    (KnownResponse::PermissionsPolicy, b"permissions-policy: geolocation=(), microphone=(), camera=()\r\n"),
    (KnownResponse::StrictTransportSecurity, b"strict-transport-security: max-age=31536000\r\n"),
];

/// How many of them go with a response of this scheme.
fn security(scheme: Scheme) -> impl Iterator<Item = (usize, &'static [u8])> {
    let count = match scheme {
        Scheme::Http => SECURITY.len() - 1,
        Scheme::Https => SECURITY.len(),
    };
    SECURITY.iter().take(count).map(|(_, line)| *line).enumerate()
}

/// Which headers that we would add the service has set already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present {
    bits: u8,
}

const DATE: u8 = 1 << 7;

impl Present {
    pub fn note(&mut self, known: KnownResponse) {
        if known == KnownResponse::Other {
            return;
        }
        if known == KnownResponse::Date {
            self.bits |= DATE;
        }
        if let Some(index) = SECURITY.iter().position(|(header, _)| *header == known) {
            self.bits |= 1 << index;
        }
    }

    pub fn date(self) -> bool {
        self.bits & DATE != 0
    }

    fn security(self, index: usize) -> bool {
        self.bits & (1 << index) != 0
    }

    fn has_no_security(self) -> bool {
        self.bits & !DATE == 0
    }
}

/// Everything about a route's responses.
#[derive(Debug, Default)]
pub struct Policy {
    security: bool,
    /// All of them by scheme, for the common service that sets none.
    security_lines: Vec<u8>,
    security_lines_https: Vec<u8>,
    dropped: Vec<Box<[u8]>>,
    /// Set and added by the configuration, deprecation included.
    lines: Vec<u8>,
    deprecated: bool,
    pub cors: Option<Cors>,
    pub compression: Option<Compression>,
}

impl Policy {
    pub fn compile(route: &RouteDocument) -> Self {
        let (dropped, mut lines) = compile_changes(&route.response_headers);
        if route.deprecated {
            lines.extend_from_slice(b"deprecation: true\r\n");
        }
        if let Some(sunset) = &route.sunset {
            lines.extend_from_slice(format!("sunset: {sunset}\r\n").as_bytes());
        }
        if let Some(link) = &route.deprecation_link {
            let relations = [("deprecation", route.deprecated), ("sunset", route.sunset.is_some())];
            for (relation, _) in relations.into_iter().filter(|(_, is_told)| *is_told) {
                lines.extend_from_slice(format!("link: <{link}>; rel=\"{relation}\"\r\n").as_bytes());
            }
        }
        Self {
            dropped,
            lines,
            deprecated: route.deprecated,
            cors: route.cors.as_ref().map(Cors::compile),
            compression: route.compression.as_ref().map(Compression::compile),
            ..Self::unrouted(route.security_headers)
        }
    }

    /// Takes a header of the service away before it goes on to clients.
    #[must_use]
    pub fn without(mut self, header: Option<&str>) -> Self {
        self.dropped.extend(header.map(|name| name.as_bytes().into()));
        self
    }

    /// For what is refused before a route is found.
    pub fn unrouted(security: bool) -> Self {
        let lines = |scheme| self::security(scheme).flat_map(|(_, line)| line.iter().copied()).collect();
        Self {
            security,
            security_lines: lines(Scheme::Http),
            security_lines_https: lines(Scheme::Https),
            ..Self::default()
        }
    }

    /// The configuration removes or replaces this header of the service.
    pub fn drops(&self, name: &[u8]) -> bool {
        self.dropped.iter().any(|dropped| **dropped == *name)
    }

    pub fn is_deprecated(&self) -> bool {
        self.deprecated
    }

    pub fn write<E: Exchange>(&self, exchange: &mut E, request: &Request, present: Present) {
        if self.security && present.has_no_security() && self.dropped.is_empty() {
            exchange.header_lines(match request.scheme {
                Scheme::Http => &self.security_lines,
                Scheme::Https => &self.security_lines_https,
            });
        } else if self.security {
            self.write_missing_security(exchange, request.scheme, present);
        }
        if !self.lines.is_empty() {
            exchange.header_lines(&self.lines);
        }
        if let Some(cors) = &self.cors {
            cors.write(exchange, request);
        }
    }

    fn write_missing_security<E: Exchange>(&self, exchange: &mut E, scheme: Scheme, present: Present) {
        for (index, line) in security(scheme) {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            if !present.security(index) && !self.drops(name) {
                exchange.header_lines(line);
            }
        }
    }
}

/// Names whose own value goes no further, and the lines that are set and added.
pub fn compile_changes(changes: &HeaderChangesDocument) -> (Vec<Box<[u8]>>, Vec<u8>) {
    let dropped =
        changes.remove.iter().chain(changes.set.keys()).map(|name| name.as_bytes().into()).collect();
    let mut lines = Vec::new();
    for (name, value) in changes.set.iter().chain(&changes.add) {
        lines.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    (dropped, lines)
}
