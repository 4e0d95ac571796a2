//! What the handshake of a client's connection proved. Read by every request of the connection.

use std::sync::Arc;

use crate::tls::certificates::Certificates;

#[derive(Debug)]
pub struct Secured {
    /// Which host the client asked for, in lower case; `None` where it named none.
    server_name: Option<Box<str>>,
    /// The protocol agreed on by ALPN, such as `http/1.1`; `None` where the client offered none.
    pub protocol: Option<Box<[u8]>>,
    certificates: Arc<Certificates>,
}

impl Secured {
    pub(super) fn new(
        server_name: Option<&str>,
        protocol: Option<&[u8]>,
        certificates: &Arc<Certificates>,
    ) -> Self {
        Self {
            server_name: server_name.map(|name| name.strip_suffix('.').unwrap_or(name).into()),
            protocol: protocol.map(Into::into),
            certificates: Arc::clone(certificates),
        }
    }

    /// May a request for this canonical host come on this connection? Yes where it is the host that the client asked for,
    /// or the certificate it was shown is good for it (RFC 9110 section 7.4). A client that named no host may name any.
    pub fn allows_host(&self, host: &str) -> bool {
        self.server_name
            .as_deref()
            .is_none_or(|server_name| server_name == host || self.certificates.cover(server_name, host))
    }
}
