//! Listeners, as Python hands them down.

use std::net::IpAddr;

use serde::Deserialize;

use super::document_tls::ListenerTlsDocument;
use crate::io::address::Address;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerDocument {
    pub name: String,
    pub at: String,
    pub protocols: Vec<Protocol>,
    pub address: Address,
    /// Of the file, where the address is one.
    #[serde(default = "socket_mode")]
    pub socket_mode: u32,
    /// From whom the PROXY protocol is taken.
    pub proxy_protocol: Option<ProxyProtocolDocument>,
    pub max_connections: u32,
    /// `null`: as many as the listener has.
    pub max_connections_per_client: Option<u32>,
    pub header_timeout_ms: u64,
    /// Between two requests of one connection.
    pub idle_timeout_ms: u64,
    /// Between two reads of a body.
    pub body_timeout_ms: u64,
    /// Bytes of a body in a second, over the time that the client is waited for; 0: any number.
    pub min_body_rate: u32,
    /// Between two writes of a response that the client takes.
    pub write_timeout_ms: u64,
    pub max_header_bytes: u32,
    pub max_uri_bytes: u32,
    pub trusted_proxies: Vec<ipnet::IpNet>,
    pub path_parameters: PathParameters,
    pub tls: Option<ListenerTlsDocument>,
    /// Every request is sent on to `https` at this port.
    pub redirect_to_https: Option<u16>,
    pub http2: Http2Limits,
}

fn socket_mode() -> u32 {
    0o660
}

/// Peers that say before all else whose connection it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocolDocument {
    pub from: Vec<ipnet::IpNet>,
    /// Nothing else is taken from them.
    pub required: bool,
}

impl ProxyProtocolDocument {
    pub fn is_spoken_by(&self, peer: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(&peer))
    }
}

/// What one connection of HTTP/2 may ask of us. The counts of frames are those of ten seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http2Limits {
    /// Streams at once.
    pub max_streams: u32,
    /// Streams that the client resets.
    pub max_resets: u32,
    /// Streams that we reset for a mistake of the client.
    pub max_stream_errors: u32,
    /// Frames that carry no request and no data.
    pub max_overhead_frames: u32,
    /// CONTINUATION frames of one head.
    pub max_continuations: u32,
    /// Streams that were reset before anybody looked at them.
    pub max_pending_resets: u32,
    /// Bytes of one stream, and of all together, that have come and were not consumed.
    pub stream_window_bytes: u32,
    pub connection_window_bytes: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    Http2,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PathParameters {
    /// A `;` in the path is a 400: services disagree about what it means.
    Refuse,
    /// A `;` is a character of its segment; dot segments with parameters are still refused.
    Keep,
}
