//! The file of a listening socket whose address is a path, and the lock that says who has the path.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::io::socket::BACKLOG;

/// Device and number: what a file is, whatever its name.
pub type Inode = (u64, u64);

/// How often a lock is opened whose file another process removes meanwhile.
const TRIES: u32 = 100;

/// The file of a listening socket. It gets its name by `publish`. Dropped, it is removed, unless another has the name by
/// then, or another process listens on the same socket.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: Inode,
    lock: Arc<PathLock>,
}

impl SocketFile {
    /// Under another name at first: nothing changes for clients before the configuration is live.
    pub fn bind(path: &Path, mode: u32, lock: Arc<PathLock>) -> io::Result<(UnixListener, Self)> {
        let new = beside(path, ".new");
        if fs::symlink_metadata(&new).is_ok_and(|found| found.file_type().is_socket()) {
            // A node that was killed while it started has left it.
            fs::remove_file(&new)?;
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&new)?)?;
        let file = Self { path: path.to_owned(), inode: inode(&fs::symlink_metadata(&new)?), lock };
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
        // Nobody can connect before: not while anybody could.
        socket.listen(BACKLOG)?;
        Ok((socket.into(), file))
    }

    /// The file of a socket that another process has handed over; `None` where it is no longer at its path.
    pub fn adopt(path: &Path, inode: Inode, lock: &Arc<PathLock>) -> Option<Self> {
        is_at(path, inode).then(|| Self { path: path.to_owned(), inode, lock: Arc::clone(lock) })
    }

    pub fn publish(&self) -> io::Result<()> {
        let new = beside(&self.path, ".new");
        if is_at(&new, self.inode) { fs::rename(new, &self.path) } else { Ok(()) }
    }

    pub fn permit(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))
    }

    pub fn inode(&self) -> Inode {
        self.inode
    }

    pub fn lock(&self) -> Arc<PathLock> {
        Arc::clone(&self.lock)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let new = beside(&self.path, ".new");
        // Where it cannot be removed the next start finds that nobody listens.
        if is_at(&new, self.inode) {
            let _ = fs::remove_file(new);
        }
        if is_at(&self.path, self.inode) && self.lock.is_last() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Held shared by every process that listens on a path: two while one takes over from the other. Who leaves last removes
/// the path, and the lock's own file beside it.
#[derive(Debug)]
pub struct PathLock {
    file: File,
    path: PathBuf,
}

impl PathLock {
    /// For a process that is to be the only one. Refuses while another has it.
    pub fn take(path: &Path) -> io::Result<Arc<Self>> {
        let lock = Self::hold(path, FlockOperation::NonBlockingLockExclusive)?;
        // The others look for one that they may share. In between it may be lost, and is then another's.
        lock.operate(FlockOperation::NonBlockingLockShared)?;
        Ok(lock)
    }

    /// For a process that takes over from the one that has it.
    pub fn join(path: &Path) -> io::Result<Arc<Self>> {
        Self::hold(path, FlockOperation::NonBlockingLockShared)
    }

    fn hold(path: &Path, operation: FlockOperation) -> io::Result<Arc<Self>> {
        let path = beside(path, ".lock");
        for _ in 0..TRIES {
            let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
            let file = opened
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            let lock = Self { file, path: path.clone() };
            lock.operate(operation)?;
            // Its file may be gone since, with the process that has left.
            if lock.is_current() {
                return Ok(Arc::new(lock));
            }
        }
        Err(taken())
    }

    fn operate(&self, operation: FlockOperation) -> io::Result<()> {
        flock(&self.file, operation).map_err(|error| match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::WouldBlock => taken(),
            error => error,
        })
    }

    fn is_current(&self) -> bool {
        self.file.metadata().is_ok_and(|own| is_at(&self.path, inode(&own)))
    }

    /// Whether no other process has it. Where one has, this one has let go of it: of two that leave at once, one is last.
    fn is_last(&self) -> bool {
        self.operate(FlockOperation::NonBlockingLockExclusive).is_ok()
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        if self.is_last() && self.is_current() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What a node that was killed has left behind is replaced; anything that may be in use is not.
pub fn refuse_taken(path: &Path) -> io::Result<()> {
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
        Ok(_) => Err(taken()),
    }
}

fn taken() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")
}

fn inode(found: &fs::Metadata) -> Inode {
    (found.dev(), found.ino())
}

fn is_at(path: &Path, wanted: Inode) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| inode(&found) == wanted)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let name =
                format!("gatewright-paths-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn is_empty(&self) -> bool {
            fs::read_dir(&self.0).unwrap().next().is_none()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn bound(path: &Path) -> (UnixListener, SocketFile) {
        let (socket, file) = SocketFile::bind(path, 0o600, PathLock::take(path).unwrap()).unwrap();
        file.publish().unwrap();
        (socket, file)
    }

    #[test]
    fn a_path_is_one_owners_until_the_owner_hands_it_on() {
        let directory = Directory::new();
        let path = directory.0.join("a.sock");
        let (_socket, file) = bound(&path);
        assert_eq!(PathLock::take(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let next = SocketFile::adopt(&path, file.inode(), &PathLock::join(&path).unwrap()).unwrap();
        drop(file);
        assert_eq!(PathLock::take(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(next);
        assert!(directory.is_empty());
    }

    #[test]
    fn of_two_that_share_a_path_the_last_removes_it() {
        for takes_over in [true, false] {
            let directory = Directory::new();
            let path = directory.0.join("a.sock");
            let (_socket, old) = bound(&path);
            let new = SocketFile::adopt(&path, old.inode(), &PathLock::join(&path).unwrap()).unwrap();
            let (first, last) = if takes_over { (old, new) } else { (new, old) };
            drop(first);
            assert!(UnixStream::connect(&path).is_ok());
            drop(last);
            assert!(directory.is_empty());
        }
    }

    #[test]
    fn a_file_that_was_replaced_is_not_adopted() {
        let directory = Directory::new();
        let path = directory.0.join("a.sock");
        let (_socket, file) = bound(&path);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "other").unwrap();
        assert!(SocketFile::adopt(&path, file.inode(), &PathLock::join(&path).unwrap()).is_none());
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "other");
    }

    #[test]
    fn the_lock_of_a_process_that_was_killed_is_taken() {
        let directory = Directory::new();
        let path = directory.0.join("a.sock");
        fs::write(beside(&path, ".lock"), "").unwrap();
        drop(bound(&path));
        assert!(directory.is_empty());
    }
}
