//! Changes seeds at random for a bounded time: whatever bytes come, the two parsers must keep their promises.
//!
//! `make fuzz` runs these. `GATEWRIGHT_FUZZ_SECONDS` (default 30) bounds each, `GATEWRIGHT_FUZZ_SEED` repeats a run.
//! Seeds are the files of `tests/corpus`: escapes `\r \n \t \\ \xNN` as in Rust; real line ends do not count.

mod fuzzing;

use std::net::{IpAddr, Ipv4Addr};

use dataplane::http1::chunked::{Decoder, Event};
use dataplane::http1::response_framing::ResponseFraming;
use dataplane::http1::response_head::{ResponseHead, parse};
use dataplane::intake::{self, Limits, canonical_path};
use dataplane::refusal::{Malformed, Refusal, UpstreamFault};
use dataplane::request::{Method, Request, Scheme, Version};
use dataplane::snapshot::document::PathParameters;
use fuzzing::{Fuzzer, cuts};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

#[test]
#[ignore = "runs for GATEWRIGHT_FUZZ_SECONDS; `make fuzz`"]
fn fuzz_intake() {
    let trusted = ["192.0.2.0/24".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    Fuzzer::new("intake").run(|bytes, random| {
        let keep = random.bool();
        let limits = Limits {
            max_header_bytes: if random.u8(..8) == 0 { random.u32(1..200) } else { 8192 },
            max_uri_bytes: if random.u8(..8) == 0 { random.u32(1..40) } else { 8192 },
            trusted_proxies: if random.bool() { &trusted } else { &[] },
            path_parameters: if keep { PathParameters::Keep } else { PathParameters::Refuse },
            scheme: Scheme::Http,
        };
        check_request(bytes, &limits, &cuts(bytes.len(), random));
    });
}

#[test]
#[ignore = "runs for GATEWRIGHT_FUZZ_SECONDS; `make fuzz`"]
fn fuzz_response() {
    Fuzzer::new("response").run(|bytes, random| {
        let method = if random.u8(..8) == 0 { Method::Head } else { Method::Get };
        let limit = if random.u8(..8) == 0 { random.usize(1..200) } else { 32 * 1024 };
        check_response(bytes, method, limit, &cuts(bytes.len(), random));
    });
}

fn read_cut(bytes: &[u8], limits: &Limits<'_>, cuts: &[usize]) -> (Result<Option<usize>, Refusal>, Request) {
    let (mut request, mut scanned) = (Request::new(PEER), 0);
    let mut answer = Ok(None);
    for &cut in cuts {
        answer = intake::read(bytes.get(..cut).unwrap_or(bytes), &mut scanned, limits, PEER, &mut request);
        if answer != Ok(None) {
            break;
        }
    }
    (answer, request)
}

/// Everything but the id, which may be new each time, and the length of the head, which writing again may change.
fn shape(request: &Request) -> String {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|header| (request.str(header.name), request.slice(header.value), header.known))
        .collect();
    let names =
        [request.method(), request.path(), request.query(), request.host(), request.str(request.authority)];
    let facts =
        (request.framing, request.keep_alive, request.expects_continue, request.version, request.scheme);
    format!("{names:?} {facts:?} {} {} {headers:?}", request.client, request.peer_is_trusted)
}

fn check_request(bytes: &[u8], limits: &Limits<'_>, cuts: &[usize]) {
    let (whole, request) = read_cut(bytes, limits, &[bytes.len()]);
    let (pieces, same) = read_cut(bytes, limits, cuts);
    assert_eq!(whole, pieces, "the answer depends on the cuts");
    match whole {
        Ok(None) => {}
        Err(_) => assert!(!request.id.is_empty() && !request.keep_alive),
        Ok(Some(length)) => {
            assert!(length <= bytes.len() && length == request.head_bytes as usize);
            assert_eq!(shape(&request), shape(&same), "the request depends on the cuts");
            check_path(&request, limits.path_parameters);
            check_written_again(&request, limits);
        }
    }
}

fn check_path(request: &Request, parameters: PathParameters) {
    let path = request.path();
    let mut again = Vec::new();
    let answer: Result<(), Malformed> = canonical_path(path.as_bytes(), parameters, &mut again);
    assert_eq!((answer, again.as_slice()), (Ok(()), path.as_bytes()), "not canonical");
    assert!(path.starts_with('/') && !path.contains("//") && !path.contains('\\'));
    assert!(path.split('/').all(|segment| !matches!(segment, "." | "..")), "dot segment left");
}

fn check_written_again(request: &Request, limits: &Limits<'_>) {
    let mut out = request.method().as_bytes().to_vec();
    let version = if request.version == Version::Http10 { "1.0" } else { "1.1" };
    let query = request.query.map(|_| format!("?{}", request.query())).unwrap_or_default();
    out.extend_from_slice(format!(" {}{query} HTTP/{version}\r\n", request.path()).as_bytes());
    let names_host = request.headers.iter().any(|header| request.str(header.name) == "host");
    if !names_host && !request.host.is_empty() {
        // An absolute target of HTTP/1.0 named the host alone.
        return;
    }
    for header in &request.headers {
        out.extend_from_slice(
            &[request.slice(header.name), b": ", request.slice(header.value), b"\r\n"].concat(),
        );
    }
    out.extend_from_slice(b"\r\n");
    let roomy = Limits { max_header_bytes: 64 * 1024, max_uri_bytes: 64 * 1024, ..*limits };
    let (answer, second) = read_cut(&out, &roomy, &[out.len()]);
    assert_eq!(answer, Ok(Some(out.len())), "what was accepted is refused when written again");
    assert_eq!(shape(&second), shape(request), "what was accepted reads differently when written again");
}

fn parse_cut(
    bytes: &[u8],
    method: Method,
    limit: usize,
    cuts: &[usize],
) -> (Result<Option<usize>, UpstreamFault>, ResponseHead) {
    let mut head = ResponseHead::new();
    let mut answer = Ok(None);
    for &cut in cuts {
        answer = parse(bytes.get(..cut).unwrap_or(bytes), method, limit, &mut head);
        if answer != Ok(None) {
            break;
        }
    }
    (answer, head)
}

/// Everything that a head says; its text may hold bytes of the body behind what the spans point to.
fn response_shape(head: &ResponseHead) -> String {
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|header| (head.slice(header.name), head.slice(header.value), header.known))
        .collect();
    let facts = (head.status, head.version, head.framing, head.content_length, head.keep_alive);
    format!("{facts:?} {headers:?}")
}

fn check_response(bytes: &[u8], method: Method, limit: usize, cuts: &[usize]) {
    let (whole, head) = parse_cut(bytes, method, limit, &[bytes.len()]);
    let (pieces, same) = parse_cut(bytes, method, limit, cuts);
    assert_eq!(whole, pieces, "the answer depends on the cuts");
    let Ok(Some(length)) = whole else { return };
    assert!(length <= bytes.len().min(limit) && (100..600).contains(&head.status));
    assert_eq!(response_shape(&head), response_shape(&same), "the head depends on the cuts");
    assert!(
        head.headers
            .iter()
            .all(|header| !head.slice(header.value).iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)))
    );
    if head.framing == ResponseFraming::UntilClose {
        assert!(!head.keep_alive);
    }
    let body = bytes.get(length..).unwrap_or_default();
    let ends: Vec<_> = cuts.iter().map(|cut| cut.saturating_sub(length)).collect();
    assert_eq!(decode(body, &[body.len()]), decode(body, &ends), "the body depends on the cuts");
}

/// Body, bytes consumed, and whether it came to its end.
fn decode(wire: &[u8], ends: &[usize]) -> Result<(Vec<u8>, usize, bool), Malformed> {
    let (mut decoder, mut body, mut at) = (Decoder::new(), Vec::new(), 0);
    for &end in ends {
        loop {
            let input = wire.get(at..end).unwrap_or_default();
            let step = decoder.decode(input)?;
            assert!(step.consumed <= input.len());
            at += step.consumed;
            let Event::Data(range) = step.event else { break };
            assert!(!range.is_empty() && range.end <= step.consumed);
            body.extend_from_slice(input.get(range).unwrap_or_default());
        }
    }
    Ok((body, at, decoder.is_done()))
}
