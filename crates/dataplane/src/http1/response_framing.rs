//! How the body of a service's response ends (RFC 9112 section 6.3). What two readers could read differently is refused.

use crate::http1::fields::{list, parse_length};
use crate::http1::response_names::KnownResponse;
use crate::refusal::UpstreamFault;
use crate::request::{Method, Version};

/// How the body of a response is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body follows, whatever the headers say: HEAD, 1xx, 204, 304.
    #[default]
    None,
    Length(u64),
    Chunked,
    /// The body lasts until the service closes; the connection cannot be used again.
    UntilClose,
}

/// What follows a head.
pub(super) struct Following {
    pub(super) framing: ResponseFraming,
    /// What `Content-Length` says, also where no body follows.
    pub(super) content_length: Option<u64>,
    /// May the connection be used again?
    pub(super) keep_alive: bool,
}

/// The headers that frame, counted while all headers are read.
#[derive(Default)]
pub(super) struct Framers {
    lengths: u32,
    length: Option<u64>,
    encodings: u32,
    is_chunked: bool,
    closes: bool,
    keeps_alive: bool,
    pub(super) names_headers: bool,
}

impl Framers {
    pub(super) fn count(&mut self, known: KnownResponse, value: &[u8]) {
        if known == KnownResponse::ContentLength {
            self.lengths += 1;
            self.length = parse_length(value);
        } else if known == KnownResponse::TransferEncoding {
            self.encodings += 1;
            self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if known == KnownResponse::Connection {
            self.count_options(value);
        }
    }

    fn count_options(&mut self, value: &[u8]) {
        match value {
            // What almost every service sends. `Keep-Alive`, which it names, is not passed on in any case.
            b"keep-alive" => self.keeps_alive = true,
            _ => {
                self.names_headers = true;
                for option in list(value) {
                    self.closes |= option.eq_ignore_ascii_case(b"close");
                    self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
        }
    }

    /// What follows a head with these headers.
    pub(super) fn decide(
        &self,
        method: Method,
        version: Version,
        status: u16,
    ) -> Result<Following, UpstreamFault> {
        let is_wrong = self.lengths > 1
            || self.encodings > 1
            || (self.lengths == 1 && self.length.is_none())
            || (self.encodings == 1 && (!self.is_chunked || self.lengths == 1 || version == Version::Http10));
        if is_wrong {
            return Err(UpstreamFault::InvalidResponse);
        }
        let has_no_body_by_status = matches!(status, 100..=199 | 204);
        let framing = if has_no_body_by_status || method == Method::Head || status == 304 {
            ResponseFraming::None
        } else if self.is_chunked {
            ResponseFraming::Chunked
        } else {
            self.length.map_or(ResponseFraming::UntilClose, ResponseFraming::Length)
        };
        // A service that announces a body where none may be will perhaps send it: its connection is not trusted again.
        let is_doubtful =
            has_no_body_by_status && (self.is_chunked || self.length.is_some_and(|length| length > 0));
        let keep_alive = !self.closes
            && !is_doubtful
            && framing != ResponseFraming::UntilClose
            && (version == Version::Http11 || self.keeps_alive);
        Ok(Following { framing, content_length: self.length, keep_alive })
    }
}
