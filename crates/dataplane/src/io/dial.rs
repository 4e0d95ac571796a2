//! Opening a connection to an instance, for requests and for health checks alike. The one place that knows how each kind of
//! instance is reached.

use std::io;

use tokio::net::{TcpStream, UnixStream};

use crate::io::address::{Address, authority};
use crate::io::stream::Stream;
use crate::refusal::UpstreamFault;
use crate::tls::ServiceTls;

/// Where a connection goes and how it is secured.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    pub address: &'a Address,
    /// `host:port` as the user wrote it; its host is whom the certificate must be for.
    pub name: &'a str,
    pub tls: Option<&'a ServiceTls>,
}

/// Linux's `ENFILE` and `EMFILE`: no file may be opened on this machine, or in this process.
const NO_DESCRIPTOR: [i32; 2] = [23, 24];

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialFault {
    /// It is ours: no descriptor is left.
    NoDescriptor,
    /// It is the instance's.
    Upstream(UpstreamFault),
}

impl DialFault {
    /// For those who need no more than a reason.
    pub fn upstream(self) -> UpstreamFault {
        match self {
            Self::NoDescriptor => UpstreamFault::ConnectionFailed,
            Self::Upstream(fault) => fault,
        }
    }
}

/// Connects, the TLS handshake included. Whoever calls sets the time limit.
pub async fn dial(destination: Destination<'_>) -> Result<Stream, DialFault> {
    let stream = connect(destination.address).await.map_err(|error| connect_fault(&error))?;
    match destination.tls {
        None => Ok(stream),
        // In a box: a handshake is large, and a plain connection should not have room for one.
        Some(tls) => {
            Box::pin(tls.connect(stream, authority(destination.name))).await.map_err(DialFault::Upstream)
        }
    }
}

async fn connect(address: &Address) -> io::Result<Stream> {
    Ok(match address {
        Address::Ip(address) => TcpStream::connect(address).await?.into(),
        Address::Unix(path) => UnixStream::connect(path).await?.into(),
    })
}

fn connect_fault(error: &io::Error) -> DialFault {
    if error.raw_os_error().is_some_and(|code| NO_DESCRIPTOR.contains(&code)) {
        return DialFault::NoDescriptor;
    }
    DialFault::Upstream(if error.kind() == io::ErrorKind::ConnectionRefused {
        UpstreamFault::ConnectionRefused
    } else if error.kind() == io::ErrorKind::TimedOut {
        UpstreamFault::ConnectionTimeout
    } else {
        UpstreamFault::ConnectionFailed
    })
}
