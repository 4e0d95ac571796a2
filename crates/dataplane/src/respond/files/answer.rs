//! The answer for a file: its head, and which bytes of the file follow, with what stands between them.

use crate::exchange::{Exchange, ResponseBody};
use crate::refusal::Refusal;
use crate::request::{Method, Request};
use crate::respond::date::http_date;
use crate::respond::policy::Present;
use crate::respond::{Facts, write_ours};

use super::conditions::{self, Judgement, Validators};
use super::ranges::{Range, Selection, select};
use super::{CODINGS, Files, Opened, kinds};

/// What goes out of a file.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// In this order; none for answers without a body.
    pub parts: Vec<Part>,
    /// Behind the last part.
    pub tail: Vec<u8>,
    length: u64,
    etag: String,
    last_modified: String,
    content_type: String,
    content_range: Option<String>,
}

/// Bytes of our own, then bytes of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    pub before: Vec<u8>,
    pub offset: u64,
    pub length: u64,
}

impl Files {
    /// What this request gets of the file. Refuses with 412 and 416. `now` is an epoch second.
    pub fn answer(&self, request: &Request, opened: &Opened, now: u64) -> Result<Answer, Refusal> {
        let state = opened.state;
        // A date of the future would not be believed (RFC 9110 section 8.8.2.1).
        let modified = u64::try_from(state.modified.0).unwrap_or(0).min(now);
        let etag = etag(opened);
        let validators = Validators { etag: &etag, modified };
        let mut answer = Answer {
            status: 200,
            last_modified: http_date(modified),
            content_type: kinds::content_type(&opened.name, &self.types).to_owned(),
            ..Answer::default()
        };
        match conditions::judge(request, validators) {
            Judgement::Failed => return Err(Refusal::PreconditionFailed),
            Judgement::NotModified => answer.status = 304,
            Judgement::Send => answer.select(request, validators, state.length)?,
        }
        answer.etag = etag;
        if request.method == Method::Head {
            answer.parts.clear();
        }
        Ok(answer)
    }

    pub fn write_head<E: Exchange>(
        &self,
        exchange: &mut E,
        facts: &Facts<'_>,
        opened: &Opened,
        answer: &Answer,
    ) {
        exchange.begin(answer.status);
        let mut put = |name: &str, value: &str| {
            if !facts.policy.is_some_and(|policy| policy.drops(name.as_bytes())) {
                exchange.header(name.as_bytes(), value.as_bytes());
            }
        };
        put("etag", &answer.etag);
        put("last-modified", &answer.last_modified);
        if answer.status != 304 {
            put("content-type", &answer.content_type);
            put("accept-ranges", "bytes");
            if let Some((coding, _)) = opened.coding.and_then(|place| CODINGS.get(place)) {
                put("content-encoding", coding);
            }
        }
        if let Some(range) = &answer.content_range {
            put("content-range", range);
        }
        if !self.codings.is_empty() {
            put("vary", "Accept-Encoding");
        }
        // A page that stands in for any path must not be kept for one: the path may get a file of its own.
        let cache_control = if opened.is_fallback { Some("no-cache") } else { self.cache_control.as_deref() };
        if let Some(value) = cache_control {
            put("cache-control", value);
        }
        write_ours(exchange, facts, Present::default());
        answer.end_head(exchange, facts);
    }
}

impl Answer {
    fn select(&mut self, request: &Request, validators: Validators<'_>, length: u64) -> Result<(), Refusal> {
        self.length = length;
        let range = request.values(b"range").next().filter(|_| request.method == Method::Get);
        let range = range.filter(|_| conditions::range_applies(request, validators));
        match range.map_or(Selection::Whole, |value| select(value, length)) {
            Selection::Unsatisfiable => return Err(Refusal::RangeNotSatisfiable { length }),
            Selection::Whole => self.parts.push(Part { before: Vec::new(), offset: 0, length }),
            Selection::Parts(ranges) => {
                self.status = 206;
                self.give_parts(&ranges, length);
            }
        }
        Ok(())
    }

    fn give_parts(&mut self, ranges: &[Range], length: u64) {
        let part =
            |before: Vec<u8>, range: &Range| Part { before, offset: range.first, length: range.length() };
        if let [range] = ranges {
            self.content_range = Some(content_range(*range, length));
            self.parts.push(part(Vec::new(), range));
        } else {
            // Twice 64 random bits: nobody can put the boundary into a file beforehand.
            let boundary = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
            for range in ranges {
                let before = format!(
                    "\r\n--{boundary}\r\ncontent-type: {}\r\ncontent-range: {}\r\n\r\n",
                    self.content_type,
                    content_range(*range, length)
                );
                self.parts.push(part(before.into_bytes(), range));
            }
            self.content_type = format!("multipart/byteranges; boundary={boundary}");
            self.tail = format!("\r\n--{boundary}--\r\n").into_bytes();
        }
        let sum: u64 = self.parts.iter().map(|part| part.before.len() as u64 + part.length).sum();
        self.length = sum + self.tail.len() as u64;
    }

    fn end_head<E: Exchange>(&self, exchange: &mut E, facts: &Facts<'_>) {
        let is_head = facts.request.method == Method::Head;
        if is_head && self.status != 304 {
            exchange.header(b"content-length", itoa::Buffer::new().format(self.length).as_bytes());
        }
        let has_body = self.status != 304 && !is_head;
        let body = if has_body { ResponseBody::Length(self.length) } else { ResponseBody::Absent };
        exchange.end_head(body, facts.close);
    }
}

fn content_range(range: Range, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.first, range.last)
}

/// Strong, and the same on every node that has the file with its times: when it was changed, its length, its coding.
fn etag(opened: &Opened) -> String {
    let (seconds, nanoseconds) = opened.state.modified;
    let coding = opened.coding.and_then(|place| CODINGS.get(place)).map_or("", |(name, _)| name);
    let separator = if coding.is_empty() { "" } else { "-" };
    format!("\"{seconds:x}.{nanoseconds:x}-{:x}{separator}{coding}\"", opened.state.length)
}
