//! Opening names beneath a directory: the kernel itself resolves them and leads nowhere else (`openat2`).
//!
//! A symbolic link is followed while it stays beneath the root. Where the kernel has no `openat2`, or a sandbox forbids
//! it, names are opened one part at a time and no link is followed at all.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat, openat2};
use rustix::io::Errno;

use super::State;

/// Something was renamed while the kernel walked past it; it asks to be called again.
const TRIES: u32 = 8;

/// Does no more than name it: looking at a device or a pipe must not be felt by whoever is behind it.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A directory whose names can be opened.
pub struct Root {
    directory: OwnedFd,
    /// Without `openat2`.
    walks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    /// Devices, pipes, sockets: never opened.
    Other,
}

impl Root {
    pub fn open(path: &Path) -> io::Result<Self> {
        let directory = open(path, LOOK | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self { directory, walks: false })
    }

    #[cfg(test)]
    pub fn walking(path: &Path) -> io::Result<Self> {
        Ok(Self { walks: true, ..Self::open(path)? })
    }

    pub fn kind(&self, name: &[u8]) -> io::Result<Kind> {
        self.look(name).map(|(kind, _)| kind)
    }

    /// A regular file to be read, and its state.
    pub fn file(&self, name: &[u8]) -> io::Result<(File, State)> {
        let (kind, looked_at) = self.look(name)?;
        if kind != Kind::File {
            return Err(Errno::ISDIR.into());
        }
        let file = File::from(self.resolve(name, READ)?);
        // It may have been replaced meanwhile.
        let opened = fstat(&file)?;
        if kind_of(opened.st_mode) != Kind::File || (opened.st_ino, opened.st_dev) != looked_at {
            return Err(Errno::NOENT.into());
        }
        let state = State::of(&file)?;
        Ok((file, state))
    }

    /// What a name stands for, and which file that is.
    fn look(&self, name: &[u8]) -> io::Result<(Kind, (u64, u64))> {
        let found = fstat(self.resolve(name, LOOK)?)?;
        Ok((kind_of(found.st_mode), (found.st_ino, found.st_dev)))
    }

    fn resolve(&self, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let name = if name.is_empty() { b"." } else { name };
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..if self.walks { 0 } else { TRIES } {
            match openat2(&self.directory, name, flags, Mode::empty(), beneath) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOSYS | Errno::PERM) => break,
                resolved => return Ok(resolved?),
            }
        }
        walk(self.directory.as_fd(), name, flags)
    }
}

/// One part at a time, and no link is followed.
fn walk(directory: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let (parents, last) = match name.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (name.get(..slash).unwrap_or_default(), name.get(slash + 1..).unwrap_or_default()),
        None => (&[][..], name),
    };
    let mut held: Option<OwnedFd> = None;
    for part in parents.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        if part == b".." {
            return Err(Errno::XDEV.into());
        }
        let at = held.as_ref().map_or(directory, AsFd::as_fd);
        held = Some(openat(at, part, LOOK | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?);
    }
    if last == b".." {
        return Err(Errno::XDEV.into());
    }
    let at = held.as_ref().map_or(directory, AsFd::as_fd);
    let found = openat(at, last, flags | OFlags::NOFOLLOW, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&found)?.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP.into());
    }
    Ok(found)
}

fn kind_of(mode: u32) -> Kind {
    let found = FileType::from_raw_mode(mode);
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Kind::Other,
    }
}
