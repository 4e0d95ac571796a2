//! Opening the sockets of a listener, and the file that one has where its address is a path.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::io::address::Address;
use crate::io::socket::{BACKLOG, Listening};

/// How a listener is to be opened.
pub struct Wanted {
    /// Of the file, where the address is a path.
    pub mode: u32,
    pub workers: usize,
    /// The path is a listener's that this node is about to replace.
    pub is_ours: bool,
    /// What another process has handed over for it: all are used, since connections may wait in any of them.
    pub inherited: Vec<TcpListener>,
}

/// The sockets of one listener, at least one for each worker.
pub struct Opened {
    pub bound: Address,
    pub sockets: Vec<Listening>,
    /// The same once more, where they can be handed to another process.
    pub kept: Arc<[TcpListener]>,
    pub file: Option<Arc<SocketFile>>,
}

/// Binds, unless enough was inherited.
pub fn open(address: &Address, wanted: Wanted) -> io::Result<Opened> {
    match address {
        Address::Ip(address) => open_tcp(*address, wanted),
        Address::Unix(path) => {
            let Wanted { mode, workers, is_ours, .. } = wanted;
            if !is_ours {
                refuse_taken(path)?;
            }
            let (first, file) = SocketFile::bind(path, mode)?;
            // A path has one socket: all workers accept from it.
            let mut sockets = Vec::new();
            for _ in 1..workers {
                sockets.push(Listening::Unix(first.try_clone()?));
            }
            sockets.push(Listening::Unix(first));
            Ok(Opened { bound: address.clone(), sockets, kept: Arc::default(), file: Some(Arc::new(file)) })
        }
    }
}

fn open_tcp(address: SocketAddr, wanted: Wanted) -> io::Result<Opened> {
    let mut sockets = wanted.inherited;
    if sockets.is_empty() {
        sockets.push(Listening::tcp(address)?);
    }
    let first = sockets.first().map(TcpListener::local_addr);
    let bound = first.unwrap_or(Ok(address))?;
    while sockets.len() < wanted.workers {
        sockets.push(Listening::tcp(bound)?);
    }
    let kept = sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
    let sockets = sockets.into_iter().map(Listening::Tcp).collect();
    Ok(Opened { bound: bound.into(), sockets, kept, file: None })
}

/// What a node that was killed has left behind is replaced; anything that may be in use is not.
fn refuse_taken(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")),
    }
}

/// The file of a listening socket. It gets its name by `publish` and is removed when dropped, unless another has the name
/// by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    /// Under another name at first: nothing changes for clients before the configuration is live.
    fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, Self)> {
        let new = new_name(path);
        if fs::symlink_metadata(&new).is_ok_and(|found| found.file_type().is_socket()) {
            // A node that was killed while it started has left it.
            fs::remove_file(&new)?;
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&new)?)?;
        let found = fs::symlink_metadata(&new)?;
        let file = Self { path: path.to_owned(), inode: (found.dev(), found.ino()) };
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
        // Nobody can connect before: not while anybody could.
        socket.listen(BACKLOG)?;
        Ok((socket.into(), file))
    }

    pub fn publish(&self) -> io::Result<()> {
        fs::rename(new_name(&self.path), &self.path)
    }

    pub fn permit(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        for path in [new_name(&self.path), self.path.clone()] {
            if self.is_at(&path) {
                // Where it cannot be removed the next start finds that nobody listens.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn new_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}
