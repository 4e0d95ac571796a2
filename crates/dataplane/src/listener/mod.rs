//! Listener: connections in, bytes out.
//! Takes sockets. Gives canonical requests to the pipeline, one after the other. Refuses connections over the maximum, and those
//! whose PROXY header is wrong or whose TLS handshake fails.

pub mod accept;
pub mod connection;
pub mod crowd;
pub mod handshake;
pub mod http1;
pub mod http2;
mod preface;
mod proxy_header;
mod proxy_protocol;
pub mod ticket;

#[cfg(test)]
mod tests;
