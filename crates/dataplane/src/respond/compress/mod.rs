//! Compressing answers of services on their way: only where the route says so, the client takes it and the service has
//! not done it, and only what shrinks: text of some length.
//!
//! Nothing is ever decompressed. A secret beside text that an attacker chooses can be guessed from the length of their
//! compressed form (BREACH), which is why every route says for itself.

pub mod coded;
mod encoder;

use crate::exchange::Exchange;
use crate::http1::fields::{list, trim};
use crate::http1::response_framing::ResponseFraming;
use crate::http1::response_head::ResponseHead;
use crate::http1::response_names::KnownResponse;
use crate::request::{Method, Request};
use crate::respond::negotiate::Codings;
use crate::snapshot::document::CompressionDocument;
pub use encoder::{Encoder, Encoders};

/// The place of each in what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Zstd,
    Brotli,
    Gzip,
}

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Zstd, Algorithm::Brotli, Algorithm::Gzip];
/// Their names in `Accept-Encoding` and `Content-Encoding`.
const NAMES: [&str; 3] = ["zstd", "br", "gzip"];

impl Algorithm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// What is compressed and how.
#[derive(Debug)]
pub struct Compression {
    /// Places in `ALGORITHMS` with their levels; of those that a client likes alike the first.
    order: Vec<(usize, u32)>,
    minimum: u64,
    types: Vec<TypeTest>,
}

#[derive(Debug)]
enum TypeTest {
    Exact(Box<[u8]>),
    /// `text/*`
    Kind(Box<[u8]>),
    /// `*+json`
    Suffix(Box<[u8]>),
}

/// What becomes of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// It goes on as it is.
    Untouched,
    /// It goes on as it is, but other clients get it compressed.
    Offered,
    Coded {
        algorithm: Algorithm,
        level: u32,
    },
}

impl Compression {
    pub fn compile(document: &CompressionDocument) -> Self {
        let place = |name: &str| NAMES.iter().position(|known| *known == name);
        let order = document.algorithms.iter().filter_map(|(name, level)| Some((place(name)?, *level)));
        Self {
            order: order.collect(),
            minimum: document.minimum_bytes,
            types: document.types.iter().map(|text| TypeTest::compile(text)).collect(),
        }
    }

    pub fn choose(&self, request: &Request, response: &ResponseHead) -> Coding {
        if !self.is_eligible(request, response) {
            return Coding::Untouched;
        }
        let codings = Codings::read(request.values(b"accept-encoding"), NAMES);
        let chosen = codings.best(self.order.iter().map(|(place, _)| *place));
        let found = chosen.and_then(|place| self.order.iter().find(|(other, _)| *other == place));
        let Some((place, level)) = found else { return Coding::Offered };
        let algorithm = ALGORITHMS.get(*place).copied();
        algorithm.map_or(Coding::Offered, |algorithm| Coding::Coded { algorithm, level: *level })
    }

    fn is_eligible(&self, request: &Request, response: &ResponseHead) -> bool {
        let has_body = response.framing != ResponseFraming::None || request.method == Method::Head;
        has_body
            && !matches!(response.status, 204..=206 | 304)
            && response.content_length.is_none_or(|length| length >= self.minimum)
            && response.known(KnownResponse::ContentType).is_some_and(|kind| self.takes(kind))
            && response.headers.iter().all(|header| {
                let (name, value) = (response.slice(header.name), response.slice(header.value));
                !forbids(name) && leaves_open(header.known, value)
            })
    }

    fn takes(&self, kind: &[u8]) -> bool {
        let kind = trim(kind.split(|&byte| byte == b';').next().unwrap_or_default()).to_ascii_lowercase();
        self.types.iter().any(|test| match test {
            TypeTest::Exact(name) => **name == *kind,
            TypeTest::Kind(start) => kind.starts_with(start),
            TypeTest::Suffix(end) => kind.ends_with(end),
        })
    }
}

impl TypeTest {
    fn compile(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        if let Some(kind) = text.strip_suffix('*') {
            Self::Kind(kind.as_bytes().into())
        } else if let Some(suffix) = text.strip_prefix('*') {
            Self::Suffix(suffix.as_bytes().into())
        } else {
            Self::Exact(text.as_bytes().into())
        }
    }
}

/// Headers that speak of the very bytes of the body.
fn forbids(name: &[u8]) -> bool {
    matches!(
        name,
        b"content-range" | b"content-md5" | b"digest" | b"content-digest" | b"repr-digest" | b"signature"
    )
}

fn leaves_open(known: KnownResponse, value: &[u8]) -> bool {
    let mut words = list(value);
    if known == KnownResponse::ContentEncoding {
        return words.all(|word| word.eq_ignore_ascii_case(b"identity"));
    }
    known != KnownResponse::CacheControl || !words.any(|word| word.eq_ignore_ascii_case(b"no-transform"))
}

impl Coding {
    pub fn is_coded(self) -> bool {
        matches!(self, Self::Coded { .. })
    }

    /// Writes the header as it is for the compressed form, where that differs; false where it does not.
    pub fn rewrites<E: Exchange>(self, exchange: &mut E, name: &[u8], value: &[u8]) -> bool {
        match (self, name) {
            (Self::Untouched | Self::Offered, _) => false,
            (Self::Coded { .. }, b"content-encoding" | b"accept-ranges") => true,
            // The same content in other bytes: a strong tag would promise the same bytes.
            (Self::Coded { .. }, b"etag") if !value.starts_with(b"W/") => {
                exchange.header(name, &[b"W/", value].concat());
                true
            }
            (Self::Coded { .. }, _) => false,
        }
    }

    /// Whatever the head of this answer must say besides.
    pub fn write<E: Exchange>(self, exchange: &mut E, response: &ResponseHead) {
        if self == Self::Untouched {
            return;
        }
        let varies = response.headers.iter().filter(|header| header.known == KnownResponse::Vary);
        let is_named = varies.flat_map(|header| list(response.slice(header.value)));
        if !is_named.into_iter().any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding")) {
            exchange.header_lines(b"vary: Accept-Encoding\r\n");
        }
        if let Self::Coded { algorithm, .. } = self {
            exchange.header(b"content-encoding", algorithm.name().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
