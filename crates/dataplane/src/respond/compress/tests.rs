use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::http1::response_head;
use crate::request::Header;

fn compression() -> Compression {
    let types = ["text/*", "application/json", "*+json"].map(str::to_owned).to_vec();
    let algorithms =
        [("zstd", 3), ("br", 4), ("gzip", 5)].map(|(name, level)| (name.to_owned(), level)).to_vec();
    Compression::compile(&CompressionDocument { algorithms, minimum_bytes: 1024, types })
}

fn asked(method: Method, accept: &str) -> Request {
    let mut request = Request::new(std::net::Ipv4Addr::LOCALHOST.into());
    request.method = method;
    let (name, value) = (request.append(b"accept-encoding"), request.append(accept.as_bytes()));
    request.headers.push(Header { name, value, ..Header::default() });
    request
}

fn chosen(method: Method, accept: &str, head: &str) -> Coding {
    let mut response = ResponseHead::new();
    let bytes = format!("HTTP/1.1 {head}\r\n\r\n");
    response_head::parse(bytes.as_bytes(), method, 8000, &mut response).unwrap().unwrap();
    compression().choose(&asked(method, accept), &response)
}

const JSON: &str = "200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000";

#[test]
fn what_shrinks_is_compressed_as_the_client_likes_it() {
    let coded = |algorithm, level| Coding::Coded { algorithm, level };
    assert_eq!(chosen(Method::Get, "gzip, br, zstd", JSON), coded(Algorithm::Zstd, 3));
    assert_eq!(chosen(Method::Get, "gzip, br", JSON), coded(Algorithm::Brotli, 4));
    assert_eq!(chosen(Method::Post, "gzip", JSON), coded(Algorithm::Gzip, 5));
    assert_eq!(chosen(Method::Get, "identity", JSON), Coding::Offered);
    assert_eq!(chosen(Method::Head, "gzip", JSON), coded(Algorithm::Gzip, 5));
    for kind in ["text/html", "TEXT/Plain; charset=x", "application/problem+json", "text/event-stream"] {
        let head = format!("404 Not Found\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked");
        assert_eq!(chosen(Method::Get, "gzip", &head), coded(Algorithm::Gzip, 5), "{kind}");
    }
}

#[test]
fn what_must_stay_as_it_is_stays_as_it_is() {
    for head in [
        "200 OK\r\nContent-Type: application/json\r\nContent-Length: 1023".to_owned(),
        "200 OK\r\nContent-Type: image/png\r\nContent-Length: 5000".to_owned(),
        "200 OK\r\nContent-Length: 5000".to_owned(),
        "204 No Content\r\nContent-Type: text/plain".to_owned(),
        "304 Not Modified\r\nContent-Type: text/plain".to_owned(),
        JSON.replace("200 OK", "206 Partial Content"),
        format!("{JSON}\r\nContent-Encoding: br"),
        format!("{JSON}\r\nContent-Range: bytes 0-1/2"),
        format!("{JSON}\r\nCache-Control: public, No-Transform"),
        format!("{JSON}\r\nContent-Digest: sha-256=:x:"),
        format!("{JSON}\r\nContent-MD5: x"),
    ] {
        assert_eq!(chosen(Method::Get, "gzip", &head), Coding::Untouched, "{head}");
    }
}

fn plain(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match algorithm {
        Algorithm::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap(),
        Algorithm::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out).unwrap(),
        Algorithm::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out).unwrap(),
    };
    out
}

fn pieces() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    let data = (any::<u8>(), 0..60_000_usize, prop::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(byte, count, rest)| [vec![byte; count], rest].concat());
    prop::collection::vec((data, any::<bool>()), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_goes_in_comes_out_again_flushed_or_not_and_from_a_used_compressor(pieces in pieces()) {
        for algorithm in ALGORITHMS {
            let mut encoders = Encoders::default();
            for _ in 0..2 {
                let mut encoder = encoders.take(algorithm, 4).unwrap();
                let (mut out, mut whole) = (Vec::new(), Vec::new());
                for (piece, flushes) in &pieces {
                    encoder.write(piece, &mut out).unwrap();
                    whole.extend_from_slice(piece);
                    if *flushes {
                        encoder.flush(&mut out).unwrap();
                    }
                }
                if let Some(encoder) = encoder.finish(&mut out).unwrap() {
                    encoders.give_back(encoder);
                }
                prop_assert!(plain(algorithm, &out) == whole, "{algorithm:?}");
            }
        }
    }
}
