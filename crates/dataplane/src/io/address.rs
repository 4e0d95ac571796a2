//! Where something listens: an IP address and a port, or a path on this machine.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

/// The longest path that the kernel binds or connects to.
const MAX_PATH: usize = 107;
const UNIX: &str = "unix:";

/// Written `127.0.0.1:80`, `[::1]:80` or `unix:/run/users.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Address {
    Ip(SocketAddr),
    /// Absolute.
    Unix(Arc<Path>),
}

impl Address {
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// The same host at another port; a path has none and stays as it is.
    pub fn at_port(&self, port: u16) -> Self {
        match self {
            Self::Ip(address) => Self::Ip(SocketAddr::new(address.ip(), port)),
            Self::Unix(path) => Self::Unix(Arc::clone(path)),
        }
    }
}

/// The host of an instance by the name that the user gave it. A path is none that HTTP knows, and what listens on it is on
/// this machine.
pub fn authority(name: &str) -> &str {
    if name.starts_with(UNIX) { "localhost" } else { name }
}

/// An address of version 4 as it is written. Every request tells of one twice, and the standard formatter takes longer
/// for it than a route is looked up in.
pub struct Dotted {
    text: [u8; 16],
    length: usize,
}

/// Each octet's digits and a dot behind them as a number whose first byte is the lowest, and its length in bits.
#[expect(clippy::indexing_slicing, reason = "the compiler itself would refuse a place that does not exist")]
static OCTETS: [(u32, u32); 256] = {
    let mut octets = [(0, 0); 256];
    let mut value = 0;
    while value < octets.len() {
        let octet = value as u32;
        let [hundreds, tens, ones] = [octet / 100, octet / 10 % 10, octet % 10];
        let ([hundreds, tens, ones], dot) = ([hundreds + 0x30, tens + 0x30, ones + 0x30], b'.' as u32);
        octets[value] = match octet {
            0..10 => (ones | dot << 8, 16),
            10..100 => (tens | ones << 8 | dot << 16, 24),
            _ => (hundreds | tens << 8 | ones << 16 | dot << 24, 32),
        };
        value += 1;
    }
    octets
};

impl Dotted {
    pub fn new(address: Ipv4Addr) -> Self {
        let (mut text, mut bits) = (0_u128, 0);
        for octet in address.octets() {
            let (digits, length) = OCTETS.get(usize::from(octet)).copied().unwrap_or_default();
            text |= u128::from(digits) << bits;
            bits += length;
        }
        // Without the last dot.
        Self { text: text.to_le_bytes(), length: bits as usize / 8 - 1 }
    }

    pub fn bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some(path) = text.strip_prefix(UNIX) else {
            return text.parse().map(Self::Ip).map_err(|_| format!("`{text}` is not an address"));
        };
        if !path.starts_with('/') || path.contains('\0') {
            return Err(format!("`{}` is not an absolute path", path.escape_debug()));
        }
        if path.len() > MAX_PATH {
            return Err(format!("`{path}` has {} bytes; a socket has {MAX_PATH} at most", path.len()));
        }
        Ok(Self::Unix(Path::new(path).into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        Address::try_from(text.to_owned()).map(|address| address.to_string())
    }

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for text in ["127.0.0.1:80", "[::1]:80", "unix:/run/a.sock"] {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
        assert!(read(&format!("unix:/{}", "a".repeat(MAX_PATH - 1))).is_ok());
    }

    #[test]
    fn what_cannot_be_listened_on_is_refused() {
        let long = format!("unix:/{}", "a".repeat(MAX_PATH));
        for text in ["", "localhost:80", "127.0.0.1", "unix:", "unix:run/a.sock", "unix:/a\0b", &long] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
