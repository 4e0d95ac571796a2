//! Opening the sockets of a listener, or going on with those of another process.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use super::socket_file::{PathLock, SocketFile, refuse_taken};
use super::takeover::Handed;
use crate::io::address::Address;
use crate::io::socket::Listening;

/// How a listener is to be opened.
pub struct Wanted {
    /// Of the file, where the address is a path.
    pub mode: u32,
    pub workers: usize,
    /// Of a path that is a listener's which this node is about to replace.
    pub lock: Option<Arc<PathLock>>,
    /// What another process has handed over for it: all are used, since connections may wait in any of them.
    pub handed: Handed,
}

/// The sockets of one listener, at least one for each worker.
pub struct Opened {
    pub bound: Address,
    pub sockets: Vec<Listening>,
    /// The same once more, to be handed to another process.
    pub kept: Arc<[OwnedFd]>,
    pub file: Option<Arc<SocketFile>>,
}

/// Binds, unless enough was handed over.
pub fn open(address: &Address, wanted: Wanted) -> io::Result<Opened> {
    match address {
        Address::Ip(address) => open_tcp(*address, wanted),
        Address::Unix(path) => open_unix(path, wanted),
    }
}

fn open_tcp(address: SocketAddr, wanted: Wanted) -> io::Result<Opened> {
    let mut sockets: Vec<TcpListener> = wanted.handed.sockets.into_iter().map(TcpListener::from).collect();
    if sockets.is_empty() {
        sockets.push(Listening::tcp(address)?);
    }
    let first = sockets.first().map(TcpListener::local_addr);
    let bound = first.unwrap_or(Ok(address))?;
    while sockets.len() < wanted.workers {
        sockets.push(Listening::tcp(bound)?);
    }
    let kept =
        sockets.iter().map(|socket| socket.try_clone().map(OwnedFd::from)).collect::<io::Result<_>>()?;
    let sockets = sockets.into_iter().map(Listening::Tcp).collect();
    Ok(Opened { bound: bound.into(), sockets, kept, file: None })
}

/// A path has one socket: all workers accept from it.
fn open_unix(path: &Arc<Path>, wanted: Wanted) -> io::Result<Opened> {
    let Wanted { mode, workers, lock, handed } = wanted;
    let handed = handed.sockets.into_iter().next().zip(handed.file);
    let is_ours = lock.is_some();
    let lock = match (lock, &handed) {
        (Some(lock), _) => lock,
        (None, Some(_)) => PathLock::join(path)?,
        (None, None) => PathLock::take(path)?,
    };
    let adopted =
        handed.and_then(|(socket, inode)| Some((socket.into(), SocketFile::adopt(path, inode, &lock)?)));
    let (first, file): (UnixListener, _) = match adopted {
        Some(adopted) => adopted,
        None if is_ours => SocketFile::bind(path, mode, lock)?,
        None => {
            refuse_taken(path)?;
            SocketFile::bind(path, mode, lock)?
        }
    };
    let kept = Arc::new([first.try_clone()?.into()]);
    let mut sockets = Vec::new();
    for _ in 1..workers {
        sockets.push(Listening::Unix(first.try_clone()?));
    }
    sockets.push(Listening::Unix(first));
    Ok(Opened { bound: Address::Unix(Arc::clone(path)), sockets, kept, file: Some(Arc::new(file)) })
}
