//! What a client's software looks like: for limits against callers that change their address with every request.
//!
//! Made of what the software sends by habit, whoever asks for what: its `User-Agent`, the languages and encodings that it
//! takes, the order of such headers, the version of HTTP, and what its TLS session agreed on. Whoever writes requests by
//! hand can look like anybody; the limit is against those who do not care to.

use aws_lc_rs::digest::{Context, SHA256};

use crate::request::{Request, Version};

/// Of a value: more of it tells nobody apart, and costs time.
const LONGEST_VALUE: usize = 256;
/// Headers whose place is looked at, all together.
const MOST_PLACES: usize = 24;

/// What stands for a header in the digest, and whether its value says something about the software. Headers that come and go
/// with what is asked for (`Cookie`, `Content-Type`, `Referer`, ...) are not among them: a browser is one client on all pages.
fn habit(name: &[u8]) -> Option<(u8, bool)> {
    let habit = match name {
        b"host" => (1, false),
        b"connection" => (2, false),
        b"user-agent" => (3, true),
        b"accept" => (4, false),
        b"accept-encoding" => (5, true),
        b"accept-language" => (6, true),
        b"accept-charset" => (7, true),
        b"sec-ch-ua" => (8, true),
        b"sec-ch-ua-mobile" => (9, true),
        b"sec-ch-ua-platform" => (10, true),
        b"dnt" => (11, false),
        b"sec-gpc" => (12, false),
        b"te" => (13, false),
        _ => return None,
    };
    Some(habit)
}

/// Half of SHA-256: the same in every process. Costs time for at most 24 headers of 256 bytes.
pub(super) fn of(request: &Request) -> [u8; 16] {
    let mut digest = Context::new(&SHA256);
    let seen = request.headers.iter().filter_map(|header| {
        habit(request.slice(header.name)).map(|(place, tells)| (place, tells.then_some(header.value)))
    });
    for (place, value) in seen.take(MOST_PLACES) {
        digest.update(&[place]);
        let Some(value) = value else { continue };
        let value = request.slice(value);
        let value = value.get(..LONGEST_VALUE).unwrap_or(value);
        // With its length, so that no value reads like the next header.
        digest.update(&(value.len() as u16).to_be_bytes());
        digest.update(value);
    }
    digest.update(&[0, version(request.version)]);
    if let Some(secured) = &request.secured {
        digest.update(secured.protocol.as_deref().unwrap_or_default());
        digest.update(&secured.agreed);
    }
    let digest = digest.finish();
    digest.as_ref().first_chunk::<16>().copied().unwrap_or_default()
}

fn version(version: Version) -> u8 {
    match version {
        Version::Http10 => 10,
        Version::Http11 => 11,
        Version::Http2 => 20,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Header;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    const BROWSER: [(&str, &str); 4] = [
        ("host", "example.com"),
        ("user-agent", "Mozilla/5.0"),
        ("accept", "text/html"),
        ("accept-language", "en"),
    ];

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut request = Request::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for (name, value) in headers {
            let (name, value) = (request.append(name.as_bytes()), request.append(value.as_bytes()));
            request.headers.push(Header { name, value, ..Header::default() });
        }
        request
    }

    fn print(headers: &[(&str, &str)]) -> [u8; 16] {
        of(&request(headers))
    }

    #[test]
    fn it_is_the_same_for_whatever_the_same_software_asks_for() {
        let mut elsewhere = BROWSER.to_vec();
        elsewhere[0].1 = "other.example.com";
        elsewhere[2].1 = "image/avif";
        elsewhere.insert(2, ("cookie", "session=1"));
        elsewhere.push(("x-forwarded-for", "192.0.2.9"));
        let mut request = request(&elsewhere);
        request.client = "192.0.2.200".parse().unwrap();
        assert_eq!(of(&request), print(&BROWSER));
    }

    #[test]
    fn name_value_order_and_protocol_of_what_it_sends_by_habit_tell_software_apart() {
        let mut other = BROWSER;
        other[1].1 = "curl/8.0";
        let mut swapped = BROWSER;
        swapped.swap(1, 3);
        let mut over_http2 = request(&BROWSER);
        over_http2.version = Version::Http2;
        let prints = [print(&BROWSER), print(&other), print(&swapped), print(&BROWSER[..3]), of(&over_http2)];
        for (index, one) in prints.iter().enumerate() {
            assert!(!prints[..index].contains(one), "{index}");
        }
    }

    #[test]
    fn headers_are_told_apart_by_their_names_with_the_same_value_or_none() {
        assert_ne!(print(&[("accept-language", "x")]), print(&[("accept-charset", "x")]));
        assert_ne!(print(&[("host", "a"), ("accept", "b")]), print(&[("accept", "b"), ("host", "a")]));
    }

    #[test]
    fn no_value_reads_like_the_next_header() {
        let joined = print(&[("user-agent", "a\u{5}b")]);
        assert_ne!(joined, print(&[("user-agent", "a"), ("accept-encoding", "b")]));
    }

    proptest! {
        #[test]
        fn what_is_beyond_its_bounds_changes_nothing(tail in "[a-z]{0,40}", many in 0usize..60) {
            let long = format!("{}{tail}", "x".repeat(LONGEST_VALUE));
            prop_assert_eq!(print(&[("user-agent", &long)]), print(&[("user-agent", &"x".repeat(LONGEST_VALUE))]));
            let full = vec![("accept", "*/*"); MOST_PLACES];
            prop_assert_eq!(print(&vec![("accept", "*/*"); MOST_PLACES + many]), print(&full));
        }
    }
}
