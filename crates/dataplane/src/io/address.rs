//! Where something listens: an IP address and a port, or a path on this machine.

use std::fmt;
use std::net::SocketAddr;
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
