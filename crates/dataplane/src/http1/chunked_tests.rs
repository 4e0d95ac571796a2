use proptest::prelude::*;

use super::*;
use crate::http1::chunk_writer::{CHUNK_END, write_chunk_size, write_last_chunk};

/// Feeds pieces of the given sizes, over and over; gives the body and what was not consumed.
fn decode(wire: &[u8], sizes: &[usize]) -> Result<(Vec<u8>, Decoder, usize), Malformed> {
    let (mut decoder, mut body, mut at) = (Decoder::new(), Vec::new(), 0);
    let mut sizes = sizes.iter().cycle();
    let mut end = 0;
    while at < wire.len() && !decoder.is_done() {
        end = (at.max(end) + sizes.next().copied().unwrap_or(1).max(1)).min(wire.len());
        loop {
            let step = decoder.decode(&wire[at..end])?;
            if let Event::Data(range) = &step.event {
                assert!(!range.is_empty() && range.end <= step.consumed);
                body.extend_from_slice(&wire[at..end][range.clone()]);
            }
            at += step.consumed;
            match step.event {
                Event::Data(_) => {}
                Event::NeedMore | Event::End => break,
            }
        }
    }
    Ok((body, decoder, at))
}

fn fault(wire: &str) -> Option<Malformed> {
    let whole = decode(wire.as_bytes(), &[usize::MAX / 2]).map(|_| ()).err();
    assert_eq!(whole, decode(wire.as_bytes(), &[1]).map(|_| ()).err(), "{wire:?}");
    whole
}

#[test]
fn a_body_ends_where_the_next_message_begins() {
    let wire = b"5\r\nhello\r\n1;a=\"b\"\r\n!\r\n0\r\n\r\nGET / HTTP/1.1";
    let (body, decoder, consumed) = decode(wire, &[usize::MAX / 2]).unwrap();
    assert_eq!(body, b"hello!");
    assert!(decoder.is_done() && decoder.trailers().is_empty());
    assert_eq!(&wire[consumed..], b"GET / HTTP/1.1");
}

#[test]
fn trailers_are_kept_and_dangerous_ones_dropped() {
    let wire =
        b"0\r\nX-Sum: 1 \r\nX_User_ID: root\r\nContent-Length: 5\r\nX-Empty:\r\nAuthorization: b\r\n\r\n";
    for size in [1, 7, 1000] {
        let (_, decoder, _) = decode(wire, &[size]).unwrap();
        let trailers: Vec<_> = decoder.trailers().iter().collect();
        assert_eq!(trailers, [(&b"x-sum"[..], &b"1"[..]), (b"x-empty", b"")]);
    }
}

#[test]
fn malformed_chunks_are_refused() {
    for wire in [
        "\r\n",
        ";a\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-1\r\n",
        "0x5\r\nhello\r\n",
        "5\nhello",
        "5\r\rhello",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "g\r\n",
        "5;a\n\r\nhello",
        "5;\0\r\n",
        "1_0\r\n",
        "5;a\r\u{7f}\n",
    ] {
        assert_eq!(fault(wire), Some(Malformed::Chunk), "{wire:?}");
    }
}

#[test]
fn malformed_trailers_are_refused() {
    for wire in [
        "0\r\nX: a\n\r\n",
        "0\r\n\n",
        "0\r\nX : a\r\n\r\n",
        "0\r\n X: a\r\n\r\n",
        "0\r\nX: a\r\n b\r\n\r\n",
        "0\r\nX: a\0\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nX: a\rb\r\n\r\n",
        "0\r\n: a\r\n\r\n",
    ] {
        assert_eq!(fault(wire), Some(Malformed::Trailer), "{wire:?}");
    }
}

#[test]
fn sizes_lines_extensions_and_trailers_are_bounded() {
    assert_eq!(fault("ffffffffffffffff\r\n"), None);
    assert_eq!(fault("00000000000000005\r\n"), Some(Malformed::ChunkTooLong));
    assert_eq!(fault("10000000000000000\r\n"), Some(Malformed::ChunkTooLong));
    assert_eq!(fault(&format!("1;{}\r\n", "a".repeat(254))), None);
    assert_eq!(fault(&format!("1;{}\r\n", "a".repeat(255))), Some(Malformed::ChunkTooLong));
    assert_eq!(fault(&format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(90)), Some(Malformed::ChunkTooLong));
    let long = "a".repeat(MAX_TRAILER_BYTES - 7);
    assert_eq!(fault(&format!("0\r\nX: {long}\r\n\r\n")), None);
    assert_eq!(fault(&format!("0\r\nX: {long}a\r\n\r\n")), Some(Malformed::ChunkTooLong));
}

#[test]
fn a_cleared_decoder_reads_the_next_body() {
    let (_, mut decoder, _) = decode(b"0\r\na: b\r\n\r\n", &[3]).unwrap();
    decoder.clear();
    assert!(!decoder.is_done() && decoder.trailers().is_empty());
    assert_eq!(decoder.decode(b"1\r\nx").unwrap(), Step { consumed: 4, event: Event::Data(3..4) });
}

proptest! {
    #[test]
    fn every_cut_of_an_encoded_body_gives_the_same_bytes(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        sizes in prop::collection::vec(1_usize..50, 1..6),
    ) {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for piece in &pieces {
            if piece.is_empty() { continue; }
            write_chunk_size(&mut wire, piece.len());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(CHUNK_END);
            expected.extend_from_slice(piece);
        }
        write_last_chunk(&mut wire, &Trailers::default());
        let length = wire.len();
        wire.extend_from_slice(b"next");
        let (body, decoder, consumed) = decode(&wire, &sizes).unwrap();
        prop_assert_eq!(body, expected);
        prop_assert!(decoder.is_done());
        prop_assert_eq!(consumed, length);
    }

    #[test]
    fn no_bytes_panic_and_no_cut_changes_the_answer(
        wire in prop::collection::vec(prop::sample::select(&b"0123aF;\r\n\r\n\r\n: xX_\0"[..]), 0..80),
        size in 1_usize..20,
    ) {
        let whole = decode(&wire, &[wire.len().max(1)]);
        let cut = decode(&wire, &[size]);
        match (whole, cut) {
            (Ok((a, x, n)), Ok((b, y, m))) => {
                prop_assert_eq!(a, b);
                prop_assert_eq!((x.is_done(), n), (y.is_done(), m));
            }
            (Err(a), Err(b)) => prop_assert_eq!(a, b),
            (a, b) => prop_assert!(false, "{:?} {:?}", a.is_ok(), b.is_ok()),
        }
    }
}
