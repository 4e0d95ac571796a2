//! How the body ends. Two answers to that question are a second request for somebody else, so doubt is refused.

use crate::http1::fields::parse_length;
use crate::intake::headers::Tally;
use crate::refusal::Malformed;
use crate::request::{Framing, Request, Version};

/// Sets framing and `expects_continue`.
///
/// Refuses both framings at once, a repeated or malformed length, an encoding that is not exactly `chunked` or comes in
/// HTTP/1.0, and expectations other than `100-continue`.
pub(super) fn settle(tally: &Tally, request: &mut Request) -> Result<(), Malformed> {
    request.framing = match (tally.content_length.count, tally.transfer_encoding.count) {
        (0, 0) => Framing::None,
        (1, 0) => {
            let length = parse_length(request.slice(tally.content_length.value)).ok_or(Malformed::Length)?;
            Framing::Length(length)
        }
        (2.., 0) => return Err(Malformed::RepeatedLength),
        (0, _) if request.version == Version::Http10 => return Err(Malformed::EncodingInHttp10),
        (0, 1) if request.slice(tally.transfer_encoding.value).eq_ignore_ascii_case(b"chunked") => {
            Framing::Chunked
        }
        (0, _) => return Err(Malformed::TransferEncoding),
        (1.., 1..) => return Err(Malformed::LengthWithEncoding),
    };
    expectation(tally, request)
}

/// The same for HTTP/2, whose frames say where a body ends; `ends`: there is none.
///
/// Refuses a repeated or malformed length, one that announces a body that does not come, and expectations as above.
pub(super) fn settle_streamed(tally: &Tally, ends: bool, request: &mut Request) -> Result<(), Malformed> {
    request.framing = match tally.content_length.count {
        0 if ends => Framing::None,
        0 => Framing::Chunked,
        1 => match parse_length(request.slice(tally.content_length.value)).ok_or(Malformed::Length)? {
            1.. if ends => return Err(Malformed::Length),
            length => Framing::Length(length),
        },
        2.. => return Err(Malformed::RepeatedLength),
    };
    expectation(tally, request)
}

fn expectation(tally: &Tally, request: &mut Request) -> Result<(), Malformed> {
    match tally.expect.count {
        0 => return Ok(()),
        1 if request.slice(tally.expect.value).eq_ignore_ascii_case(b"100-continue") => {}
        1.. => return Err(Malformed::Expectation),
    }
    let has_body = match request.framing {
        Framing::None | Framing::Length(0) => false,
        Framing::Length(_) | Framing::Chunked => true,
    };
    // A client of 1.0 would take the 100 for the answer (RFC 9110 section 10.1.1).
    request.expects_continue = has_body && request.version != Version::Http10;
    Ok(())
}
