//! Trailers: headers after a chunked body, bounded and cleaned of everything that a head has already decided.

use crate::http1::fields::{MAX_HEADERS, copy_head, lower_case};
use crate::http1::head_end::has_bare_return;
use crate::http1::request_names::may_be_trailer;
use crate::refusal::Malformed;
use crate::request::Span;

/// Bytes of a whole trailer section.
pub const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// Trailers that may go on, in the order sent; names in lower case.
#[derive(Clone, Debug, Default)]
pub struct Trailers {
    text: Vec<u8>,
    list: Vec<(Span, Span)>,
}

impl Trailers {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.list.iter().map(|&(name, value)| (self.slice(name), self.slice(value)))
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The same, less those whose names are dropped.
    pub(crate) fn without(&self, is_dropped: impl Fn(&[u8]) -> bool) -> Self {
        let stays = |(name, _): &&(Span, Span)| !is_dropped(self.slice(*name));
        Self { text: self.text.clone(), list: self.list.iter().filter(stays).copied().collect() }
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.list.clear();
    }

    /// Adds one that another protocol has delimited. Drops and refuses what `read` does.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if self.list.len() >= MAX_HEADERS || self.text.len() + name.len() + value.len() > MAX_TRAILER_BYTES {
            return Err(Malformed::ChunkTooLong);
        }
        if may_be_trailer(name) {
            let (name, value) = (self.append(name), self.append(value));
            self.list.push((name, value));
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Span { start, end: self.text.len() as u32 }
    }

    /// Reads a whole section, its empty line included.
    ///
    /// Those that frame, route, identify or authenticate are dropped. Refuses with `Trailer`.
    pub(crate) fn read(&mut self, section: &[u8]) -> Result<(), Malformed> {
        self.clear();
        if has_bare_return(section) {
            return Err(Malformed::Trailer);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let parsed = match httparse::parse_headers(section, &mut fields) {
            Ok(httparse::Status::Complete((length, parsed))) if length == section.len() => parsed,
            Ok(_) | Err(_) => return Err(Malformed::Trailer),
        };
        let block = copy_head(section, &mut self.text);
        for field in parsed {
            let name = block.span(field.name.as_bytes());
            lower_case(&mut self.text, name);
            if may_be_trailer(self.slice(name)) {
                self.list.push((name, block.span(field.value)));
            }
        }
        Ok(())
    }
}
