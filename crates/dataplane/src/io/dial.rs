//! Opening a connection to an instance, for requests and for health checks alike. The one place that knows how each kind of
//! instance is reached.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::io::stream::Stream;
use crate::refusal::UpstreamFault;
use crate::tls::ServiceTls;

/// Where a connection goes and how it is secured.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    pub address: SocketAddr,
    /// `host:port` as the user wrote it; its host is whom the certificate must be for.
    pub name: &'a str,
    pub tls: Option<&'a ServiceTls>,
}

/// Connects, the TLS handshake included. Whoever calls sets the time limit.
pub async fn dial(destination: Destination<'_>) -> Result<Stream, UpstreamFault> {
    let stream = TcpStream::connect(destination.address).await.map_err(|error| connect_fault(&error))?;
    let stream = Stream::from(stream);
    match destination.tls {
        None => Ok(stream),
        // In a box: a handshake is large, and a plain connection should not have room for one.
        Some(tls) => Box::pin(tls.connect(stream, destination.name)).await,
    }
}

fn connect_fault(error: &io::Error) -> UpstreamFault {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        UpstreamFault::ConnectionRefused
    } else if error.kind() == io::ErrorKind::TimedOut {
        UpstreamFault::ConnectionTimeout
    } else {
        UpstreamFault::ConnectionFailed
    }
}
