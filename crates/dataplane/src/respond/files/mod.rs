//! Files of a directory as answers: which one a path names, whether the client has it already, and which bytes of it go
//! out. Everything that may block is a function of its own, to be run where blocking harms nobody.
//!
//! Nothing outside of the root is ever opened: names are resolved by the kernel beneath it (`locate`). The path is the
//! canonical one of intake; only escapes are left to be decoded, and what a file name cannot hold is no file.

pub mod answer;
mod conditions;
mod kinds;
mod locate;
mod names;
pub mod ranges;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use crate::request::{Method, Request};
use crate::respond::negotiate::Codings;
use crate::snapshot::document::FilesDocument;
use locate::{Kind, Root};

/// The most that one read gives.
pub const PIECE: usize = 64 * 1024;

/// What a route's files are and how they go out.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    strip_prefix: Option<Box<str>>,
    index: Vec<Box<str>>,
    fallback: Option<Box<str>>,
    /// Places in `CODINGS`, in the order of the configuration.
    codings: Vec<usize>,
    cache_control: Option<Box<str>>,
    types: Vec<(Box<str>, Box<str>)>,
    hidden: bool,
}

/// Content codings with their names in HTTP and at the end of a file's name.
const CODINGS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];

/// What a request asks for: decided without looking at any file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Relative to the root, without a slash at either end; empty for the root itself.
    name: Vec<u8>,
    /// The path ends with a slash.
    is_directory: bool,
    /// The client takes the file in these, the best first.
    codings: Vec<usize>,
    /// The first piece is read at once, since it will most likely be sent.
    reads_ahead: bool,
}

/// What stands behind a name.
#[derive(Debug)]
pub enum Found {
    File(Opened),
    /// A directory was named without its slash: the client is sent there.
    Directory,
}

/// A file as it was when it was opened.
#[derive(Debug)]
pub struct Opened {
    file: File,
    state: State,
    /// Its name, or that of the file that it is a compressed form of.
    name: Vec<u8>,
    coding: Option<usize>,
    is_fallback: bool,
    first: Vec<u8>,
}

/// Whatever changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Why no file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is none, or none that may be read.
    File,
    /// No descriptor is left.
    Descriptors,
    /// The disk failed.
    Broken,
}

impl Files {
    pub fn compile(document: &FilesDocument) -> Self {
        let place = |name: &String| CODINGS.iter().position(|(coding, _)| coding == name);
        Self {
            root: document.root.clone().into(),
            strip_prefix: document.strip_prefix.as_deref().map(Into::into),
            index: document.index.iter().map(|name| name.as_str().into()).collect(),
            fallback: document.fallback.as_deref().map(|path| path.trim_start_matches('/').into()),
            codings: document.codings.iter().filter_map(place).collect(),
            cache_control: document.cache_control.as_deref().map(Into::into),
            types: document
                .types
                .iter()
                .map(|(name, kind)| (name.as_str().into(), kind.as_str().into()))
                .collect(),
            hidden: document.hidden,
        }
    }

    /// `None` where the path names nothing that could be a file of this route.
    pub fn wanted(&self, request: &Request) -> Option<Wanted> {
        let path = self.strip_prefix.as_deref().map_or(Some(request.path()), |prefix| {
            request.path().strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
        })?;
        let name = names::file_name(path, self.hidden)?;
        let conditional =
            [&b"range"[..], b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since"];
        let reads_ahead = request.method == Method::Get
            && conditional.iter().all(|name| request.values(name).next().is_none());
        let is_directory = path.ends_with('/');
        Some(Wanted { name, is_directory, codings: self.codings(request), reads_ahead })
    }

    fn codings(&self, request: &Request) -> Vec<usize> {
        if self.codings.is_empty() {
            return Vec::new();
        }
        let mut taken = Codings::read(request.values(b"accept-encoding"), CODINGS.map(|(name, _)| name));
        let mut best = Vec::with_capacity(CODINGS.len());
        while let Some(place) = taken.best(self.codings.iter().copied()) {
            best.push(place);
            taken.exclude(place);
        }
        best
    }

    /// Blocks on the file system.
    pub fn open(&self, wanted: &Wanted) -> Result<Found, Missing> {
        let found = self.find(wanted);
        match (found, &self.fallback) {
            (Err(Missing::File), Some(fallback)) => {
                let root = Root::open(&self.root).map_err(missing)?;
                let mut opened = self.opened(&root, fallback.as_bytes().to_vec(), wanted)?;
                opened.is_fallback = true;
                Ok(Found::File(opened))
            }
            (found, _) => found,
        }
    }

    fn find(&self, wanted: &Wanted) -> Result<Found, Missing> {
        // By its path each time, so that a deployment may put another directory in its place.
        let root = Root::open(&self.root).map_err(missing)?;
        match (root.kind(&wanted.name).map_err(missing)?, wanted.is_directory) {
            (Kind::File, false) => self.opened(&root, wanted.name.clone(), wanted).map(Found::File),
            (Kind::Directory, false) => Ok(Found::Directory),
            (Kind::Directory, true) => self.index(&root, wanted).map(Found::File),
            (Kind::File, true) | (Kind::Other, _) => Err(Missing::File),
        }
    }

    fn index(&self, root: &Root, wanted: &Wanted) -> Result<Opened, Missing> {
        for index in &self.index {
            let mut name = wanted.name.clone();
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(index.as_bytes());
            match self.opened(root, name, wanted) {
                Err(Missing::File) => {}
                found => return found,
            }
        }
        Err(Missing::File)
    }

    fn opened(&self, root: &Root, name: Vec<u8>, wanted: &Wanted) -> Result<Opened, Missing> {
        let (file, state) = root.file(&name).map_err(missing)?;
        let mut opened = Opened { file, state, name, coding: None, is_fallback: false, first: Vec::new() };
        for coding in &wanted.codings {
            let suffix = CODINGS.get(*coding).map_or("", |(_, suffix)| suffix);
            let sibling = [&opened.name, suffix.as_bytes()].concat();
            if let Ok((file, state)) = root.file(&sibling) {
                (opened.file, opened.state, opened.coding) = (file, state, Some(*coding));
                break;
            }
        }
        if wanted.reads_ahead {
            let length = opened.state.length.min(PIECE as u64) as usize;
            opened.first = opened.read(0, length, Vec::new()).map_err(|_| Missing::Broken)?;
        }
        Ok(opened)
    }
}

impl Opened {
    /// Blocks on the file system. Gives at most `length` bytes from `offset` on, fewer where it had to stop early. An
    /// error where the file is not what it was when it was opened.
    pub fn read(&self, offset: u64, length: usize, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
        buffer.resize(length.min(PIECE), 0);
        let count = self.file.read_at(&mut buffer, offset)?;
        // Looked at behind the read: what was read then belongs to the file whose length was told.
        if State::of(&self.file)? != self.state || count == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.truncate(count);
        Ok(buffer)
    }

    /// What was read ahead.
    pub fn take_first(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.first)
    }

    /// For the record.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

impl State {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self {
            length: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// What the client may know: a file that may not be read is as good as none.
fn missing(error: io::Error) -> Missing {
    use rustix::io::Errno;
    match Errno::from_io_error(&error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Missing::Descriptors,
        Some(Errno::IO) => Missing::Broken,
        _ => Missing::File,
    }
}

#[cfg(test)]
mod tests;
