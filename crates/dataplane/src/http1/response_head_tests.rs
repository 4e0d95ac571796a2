use proptest::prelude::*;

use super::*;

fn read(head: &str, method: Method) -> Result<ResponseHead, UpstreamFault> {
    let mut into = ResponseHead::new();
    assert_eq!(parse(head.as_bytes(), method, 1024, &mut into)?, Some(head.len()), "{head:?}");
    Ok(into)
}

fn framing(head: &str) -> Result<(ResponseFraming, bool), UpstreamFault> {
    read(head, Method::Get).map(|head| (head.framing, head.keep_alive))
}

#[test]
fn headers_are_lower_case_spans_with_their_kind() {
    let head =
        read("HTTP/1.1 200 Fine\r\nContent-TYPE: a/b \r\nX-Empty:\r\nContent-Length: 3\r\n\r\n", Method::Get)
            .unwrap();
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|header| (head.slice(header.name), head.slice(header.value), header.known))
        .collect();
    assert_eq!(
        headers,
        [
            (&b"content-type"[..], &b"a/b"[..], KnownResponse::ContentType),
            (b"x-empty", b"", KnownResponse::Other),
            (b"content-length", b"3", KnownResponse::ContentLength),
        ]
    );
    assert_eq!((head.status, head.framing, head.keep_alive), (200, ResponseFraming::Length(3), true));
}

#[test]
fn the_body_ends_as_the_rfc_says() {
    use ResponseFraming::{Chunked, Length, None, UntilClose};
    for (head, expected) in [
        ("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", (Length(0), true)),
        ("HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n", (Chunked, true)),
        ("HTTP/1.1 200 OK\r\n\r\n", (UntilClose, false)),
        ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\n", (Length(1), false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", (Length(1), false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", (Length(1), true)),
        ("HTTP/1.1 204 No\r\n\r\n", (None, true)),
        ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", (None, false)),
        ("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", (None, false)),
        ("HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", (None, true)),
        ("HTTP/1.1 100 Continue\r\n\r\n", (None, true)),
    ] {
        assert_eq!(framing(head), Ok(expected), "{head:?}");
    }
    let head = read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Method::Head).unwrap();
    assert_eq!((head.framing, head.content_length, head.keep_alive), (None, Some(9), true));
}

#[test]
fn ambiguous_or_malformed_responses_are_refused() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert_eq!(framing(head), Err(UpstreamFault::InvalidResponse), "{head:?}");
    }
}

#[test]
fn headers_named_in_connection_are_marked_but_never_those_that_frame() {
    let head = read(
        "HTTP/1.1 200 OK\r\nX-Hop: 1\r\nConnection: x-HOP, content-length\r\nContent-Length: 0\r\nX-Stay: 1\r\n\r\n",
        Method::Get,
    )
    .unwrap();
    let kinds: Vec<_> = head.headers.iter().map(|header| header.known).collect();
    assert_eq!(
        kinds,
        [
            KnownResponse::NamedInConnection,
            KnownResponse::Connection,
            KnownResponse::ContentLength,
            KnownResponse::Other
        ]
    );
}

#[test]
fn a_head_beyond_the_limit_is_refused_wherever_it_is_cut() {
    let head = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(100));
    for limit in [head.len() - 1, head.len(), 10] {
        let mut whole = ResponseHead::new();
        let expected = parse(head.as_bytes(), Method::Get, limit, &mut whole);
        assert_eq!(expected.is_ok(), limit >= head.len());
        let mut into = ResponseHead::new();
        let answer = (0..=head.len())
            .map(|length| parse(&head.as_bytes()[..length], Method::Get, limit, &mut into))
            .find(|answer| *answer != Ok(None));
        assert_eq!(answer, Some(expected));
    }
}

/// Reads bytes that were looked at before, which takes the careful way and never the short one.
fn read_again(bytes: &[u8]) -> (Result<Option<usize>, UpstreamFault>, ResponseHead) {
    let mut into = ResponseHead { scanned: 1, ..ResponseHead::new() };
    (parse(bytes, Method::Get, 1024, &mut into), into)
}

fn shape(head: &ResponseHead) -> String {
    let slices = |header: &ResponseHeader| {
        (head.slice(header.name).to_vec(), head.slice(header.value).to_vec(), header.known)
    };
    let headers: Vec<_> = head.headers.iter().map(slices).collect();
    let ResponseHead { status, version, framing, content_length, keep_alive, .. } = head;
    format!("{status} {version:?} {framing:?} {content_length:?} {keep_alive} {headers:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_short_way_and_the_careful_way_agree(
        line in prop::sample::select(vec!["HTTP/1.1 200 OK", "HTTP/1.0 404 ", "HTTP/1.1 204", "HTTP/1.1 600 \u{7f}"]),
        names in prop::collection::vec("[A-Za-z]{1,9}|Content-Length|connection|X_Y|Transfer-Encoding|", 0..5),
        values in prop::collection::vec(" ?(5|close|keep-alive|chunked|x, y|[ -~]{0,20}|\u{e9}|a\tb|\u{1})? ?(\r?\n )?", 5),
        end in prop::sample::select(vec!["\r\n", "\r\n", "\n", "\r", ""]),
    ) {
        let mut head = format!("{line}\r\n");
        for (name, value) in names.iter().zip(&values) {
            head.push_str(&format!("{name}:{value}\r\n"));
        }
        head.push_str(end);
        let mut into = ResponseHead::new();
        let answer = parse(head.as_bytes(), Method::Get, 1024, &mut into);
        let (careful, same) = read_again(head.as_bytes());
        prop_assert_eq!(&answer, &careful);
        if answer.is_ok_and(|length| length.is_some()) {
            prop_assert_eq!(shape(&into), shape(&same));
        }
    }

    #[test]
    fn no_bytes_panic_and_no_cut_changes_the_answer(
        tail in prop::collection::vec(prop::sample::select(&b"\r\n\r\n: aA1,\0content-length"[..]), 0..60),
    ) {
        let bytes = [&b"HTTP/1.1 200 OK\r\n"[..], &tail, b"\r\n\r\n"].concat();
        let mut whole = ResponseHead::new();
        let expected = parse(&bytes, Method::Get, 64, &mut whole);
        let mut into = ResponseHead::new();
        let answer = (0..=bytes.len())
            .map(|length| parse(&bytes[..length], Method::Get, 64, &mut into))
            .find(|answer| *answer != Ok(None));
        prop_assert_eq!(answer, Some(expected));
    }
}
