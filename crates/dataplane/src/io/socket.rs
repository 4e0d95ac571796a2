//! Sockets that accept, and connections on their way from one worker to another.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StandardTcp, TcpStream as LooseTcp};
use std::os::unix::net::{UnixListener as StandardUnix, UnixStream as LooseUnix};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::io::stream::Stream;

/// Connections that the kernel keeps for us until they are accepted.
pub const BACKLOG: i32 = 4_096;

/// Who connects by a path is on this machine, and the kernel tells no more.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Bound and listening; no worker has it yet.
#[derive(Debug)]
pub enum Listening {
    Tcp(StandardTcp),
    Unix(StandardUnix),
}

impl Listening {
    /// Binds one socket of an address that several workers share. `[::]` takes IPv4 as well, whatever this machine's
    /// default is.
    pub fn tcp(address: SocketAddr) -> io::Result<StandardTcp> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        // Linux hands this down to every connection that the socket accepts.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }

    /// Joins the runtime of this thread.
    pub fn attach(self) -> io::Result<Acceptor> {
        Ok(match self {
            Self::Tcp(listener) => Acceptor::Tcp(TcpListener::from_std(listener)?),
            Self::Unix(listener) => Acceptor::Unix(UnixListener::from_std(listener)?),
        })
    }
}

#[derive(Debug)]
pub enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    /// The next connection and its peer. The one place where an IPv4 address that came as an IPv6 one becomes itself: all
    /// that follows compares addresses.
    pub async fn accept(&self) -> io::Result<(Stream, IpAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((stream.into(), peer.ip().to_canonical()))
            }
            Self::Unix(listener) => Ok((listener.accept().await?.0.into(), LOCAL)),
        }
    }
}

/// A connection that no runtime has.
#[derive(Debug)]
pub enum Detached {
    Tcp(LooseTcp),
    Unix(LooseUnix),
}

impl Detached {
    pub fn attach(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(stream) => TcpStream::from_std(stream)?.into(),
            Self::Unix(stream) => UnixStream::from_std(stream)?.into(),
        })
    }
}

impl Stream {
    /// Takes a new connection from the runtime of this thread.
    pub fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Detached::Tcp),
            Self::Unix(stream) => stream.into_std().map(Detached::Unix),
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
