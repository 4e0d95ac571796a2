//! The header of the PROXY protocol, as far as its bytes have come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longer headers of version 2 are refused: 16 bytes of its own, and as many for addresses and what is told beside them.
pub const MAX_BYTES: usize = 536;
/// The longest line of version 1, its end included.
const MAX_LINE: usize = 107;

const LINE: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family, and the length of the rest.
const FIXED: usize = 16;
/// What two addresses of the file system take.
const UNIX_BYTES: usize = 216;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All is well as far as it goes.
    More,
    /// The bytes begin otherwise.
    Absent,
    Wrong,
    /// No client: the connection is the sender's own, or of a kind that has no such address.
    Header {
        length: usize,
        client: Option<IpAddr>,
    },
}

pub fn find(bytes: &[u8]) -> Found {
    if bytes.starts_with(LINE) {
        return line(bytes);
    }
    if bytes.starts_with(SIGNATURE) {
        return binary(bytes);
    }
    if LINE.starts_with(bytes) || SIGNATURE.starts_with(bytes) { Found::More } else { Found::Absent }
}

fn line(bytes: &[u8]) -> Found {
    let within = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() >= MAX_LINE { Found::Wrong } else { Found::More };
    };
    let told = within.get(..end).and_then(|line| std::str::from_utf8(line).ok()).and_then(client_of_line);
    told.map_or(Found::Wrong, |client| Found::Header { length: end + 2, client })
}

fn client_of_line(line: &str) -> Option<Option<IpAddr>> {
    let told = line.strip_prefix("PROXY ")?;
    // What follows that word is not to be looked at.
    if told == "UNKNOWN" || told.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut words = told.split(' ');
    let family = words.next()?;
    let (client, server) = (words.next()?, words.next()?);
    let client: IpAddr = match family {
        "TCP4" => (client.parse::<Ipv4Addr>().ok()?.into(), server.parse::<Ipv4Addr>().ok()?).0,
        "TCP6" => (client.parse::<Ipv6Addr>().ok()?.into(), server.parse::<Ipv6Addr>().ok()?).0,
        _ => return None,
    };
    let are_ports = is_port(words.next()?) && is_port(words.next()?);
    (are_ports && words.next().is_none()).then(|| Some(client.to_canonical()))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn binary(bytes: &[u8]) -> Found {
    let (Some(&command), Some(&family)) = (bytes.get(12), bytes.get(13)) else { return Found::More };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Found::Wrong,
    };
    let (Some(&high), Some(&low)) = (bytes.get(14), bytes.get(15)) else { return Found::More };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BYTES {
        return Found::Wrong;
    }
    let Some(rest) = bytes.get(FIXED..length) else { return Found::More };
    let client = if is_local { Some(None) } else { client_of(family, rest) };
    client.map_or(Found::Wrong, |client| Found::Header { length, client })
}

/// The first of the addresses. Datagrams do not come on connections.
fn client_of(family: u8, rest: &[u8]) -> Option<Option<IpAddr>> {
    let client = match family {
        0x00 => None,
        0x11 => Some(IpAddr::from(*rest.get(..12)?.first_chunk::<4>()?)),
        0x21 => Some(IpAddr::from(*rest.get(..36)?.first_chunk::<16>()?)),
        0x31 => {
            rest.get(..UNIX_BYTES)?;
            None
        }
        _ => return None,
    };
    Some(client.map(|client| client.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    fn four() -> Vec<u8> {
        vec![192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80]
    }

    fn told(bytes: &[u8]) -> Option<IpAddr> {
        let Found::Header { length, client } = find(bytes) else { panic!("{:?}", find(bytes)) };
        assert_eq!(length, bytes.len());
        client
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn both_versions_name_the_client() {
        assert_eq!(told(b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n"), ip("192.0.2.1"));
        assert_eq!(told(b"PROXY TCP6 2001:db8::1 ::1 4660 80\r\n"), ip("2001:db8::1"));
        assert_eq!(told(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4660 80\r\n"), ip("192.0.2.1"));
        assert_eq!(told(&version2(0x21, 0x11, &four())), ip("192.0.2.1"));
        let mapped: Ipv6Addr = "::ffff:192.0.2.7".parse().unwrap();
        let six = [&mapped.octets()[..], &[0; 20], b"\x03\x00\x01x"].concat();
        assert_eq!(told(&version2(0x21, 0x21, &six)), ip("192.0.2.7"));
    }

    #[test]
    fn some_headers_name_nobody() {
        assert_eq!(told(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(told(b"PROXY UNKNOWN ffff::1 whatever\r\n"), None);
        assert_eq!(told(&version2(0x20, 0x11, &four())), None);
        assert_eq!(told(&version2(0x20, 0xff, b"")), None);
        assert_eq!(told(&version2(0x21, 0x00, b"\x04\x00\x00")), None);
        assert_eq!(told(&version2(0x21, 0x31, &[0; UNIX_BYTES])), None);
    }

    #[test]
    fn every_prefix_asks_for_more_and_nothing_behind_it_is_taken() {
        let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n".to_vec();
        for header in [line, version2(0x21, 0x11, &[four(), vec![0x30; 500]].concat())] {
            for length in 0..header.len() {
                assert_eq!(find(&header[..length]), Found::More, "{length}");
            }
            let Found::Header { length, .. } = find(&[&header[..], b"GET"].concat()) else { panic!() };
            assert_eq!(length, header.len());
        }
    }

    #[test]
    fn what_is_no_header_is_absent() {
        for bytes in [&b"GET / HTTP/1.1"[..], b"POST", b"PROXX", b"\r\n\r\nX", b"\x16\x03\x01"] {
            assert_eq!(find(bytes), Found::Absent);
        }
    }

    #[test]
    fn a_wrong_header_is_never_guessed_at() {
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat();
        for line in [
            &b"PROXY TCP4 192.0.2.1 10.0.0.1 4660\r\n"[..],
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80 1\r\n",
            b"PROXY TCP4  192.0.2.1 10.0.0.1 4660 80\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 +1 80\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n",
            b"PROXY TCP4 192.0.2.01 10.0.0.1 1 80\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 1 80\r\n",
            b"PROXY TCP6 192.0.2.1 10.0.0.1 1 80\r\n",
            b"PROXY UDP4 192.0.2.1 10.0.0.1 1 80\r\n",
            b"PROXY UNKNOWNS\r\n",
            b"PROXY \r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 1 80\nGET\r\n",
            &long,
        ] {
            assert_eq!(find(line), Found::Wrong, "{}", line.escape_ascii());
        }
        let binaries = [
            version2(0x11, 0x11, &four()),
            version2(0x22, 0x11, &four()),
            version2(0x21, 0x12, &four()),
            version2(0x21, 0x11, &four()[..11]),
            version2(0x21, 0x21, &[0; 35]),
            version2(0x21, 0x31, &[0; UNIX_BYTES - 1]),
            version2(0x21, 0x41, &four()),
            version2(0x21, 0x11, &[0; 521]),
        ];
        for (case, bytes) in binaries.iter().enumerate() {
            assert_eq!(find(bytes), Found::Wrong, "{case}");
        }
    }
}
