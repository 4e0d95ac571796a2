//! What the handshake of a client's connection proved. Read by every request of the connection.

use std::sync::Arc;

use crate::tls::ClientCertificate;
use crate::tls::certificates::Certificates;

#[derive(Debug)]
pub struct Secured {
    /// Which host the client asked for, in lower case; `None` where it named none.
    pub(super) server_name: Option<Box<str>>,
    /// The protocol agreed on by ALPN, such as `http/1.1`; `None` where the client offered none.
    pub protocol: Option<Box<[u8]>>,
    /// Version and cipher suite agreed on, by their numbers.
    pub agreed: [u8; 4],
    /// Verified; `None` where the client has shown none.
    pub client: Option<ClientCertificate>,
    /// Services are told about the client's certificate.
    pub(super) tells_services: bool,
    pub(super) certificates: Arc<Certificates>,
}

impl Secured {
    /// May a request for this canonical host come on this connection? Yes where it is the host that the client asked for,
    /// or the certificate it was shown is good for it (RFC 9110 section 7.4). A client that named no host may name any.
    pub fn allows_host(&self, host: &str) -> bool {
        self.server_name
            .as_deref()
            .is_none_or(|server_name| server_name == host || self.certificates.cover(server_name, host))
    }

    /// The version of TLS, as records tell it.
    pub fn version(&self) -> &'static str {
        match self.agreed {
            [0x03, 0x03, ..] => "TLSv1.2",
            [0x03, 0x04, ..] => "TLSv1.3",
            _ => "unknown",
        }
    }

    /// The cipher suite by the name that IANA has for it.
    pub fn cipher(&self) -> &'static str {
        let [_, _, suite @ ..] = self.agreed;
        match u16::from_be_bytes(suite) {
            0x1301 => "TLS_AES_128_GCM_SHA256",
            0x1302 => "TLS_AES_256_GCM_SHA384",
            0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
            0xC02B => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            0xC02C => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            0xC02F => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            0xC030 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            0xCCA8 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            0xCCA9 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            _ => "unknown",
        }
    }

    /// `X-Client-Cert-*` lines for services; none where they are not to be told.
    pub fn lines(&self) -> &[u8] {
        match &self.client {
            _ if !self.tells_services => b"",
            Some(client) => client.lines(),
            None => b"x-client-cert-verified: false\r\n",
        }
    }
}
