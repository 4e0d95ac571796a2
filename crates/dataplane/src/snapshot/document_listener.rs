//! Listeners, as Python hands them down.

use std::net::SocketAddr;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerDocument {
    pub name: String,
    pub at: String,
    pub protocols: Vec<Protocol>,
    pub address: SocketAddr,
    pub max_connections: u32,
    /// `null`: as many as the listener has.
    pub max_connections_per_client: Option<u32>,
    pub header_timeout_ms: u64,
    /// Between two requests of one connection.
    pub idle_timeout_ms: u64,
    /// Between two reads of a body.
    pub body_timeout_ms: u64,
    /// Between two writes of a response that the client takes.
    pub write_timeout_ms: u64,
    pub max_header_bytes: u32,
    pub max_uri_bytes: u32,
    pub trusted_proxies: Vec<ipnet::IpNet>,
    pub path_parameters: PathParameters,
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
