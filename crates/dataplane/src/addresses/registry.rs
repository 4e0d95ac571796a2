//! What was read from files, kept from one snapshot to the next under its name, so that a reload does not read it again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::{AddressList, Countries, Scores};

/// A file and its bound: entries of a list, bytes of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub most: usize,
}

/// What it holds, and the memory that it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub entries: usize,
    pub bytes: usize,
}

/// What can be read from a file. Blocks; the error says what is wrong, and where.
pub(super) trait Loaded: Sized {
    fn load(source: &Source) -> Result<Self, String>;
    fn size(&self) -> Size;
}

/// What was read from a file, replaced whole when the file changes.
pub struct Kept<T> {
    source: Source,
    now: ArcSwap<T>,
    loaded_ms: AtomicU64,
}

#[expect(private_bounds, reason = "nobody else has something to load")]
impl<T: Loaded> Kept<T> {
    fn load(source: Source) -> Result<Self, String> {
        let now = ArcSwap::from_pointee(T::load(&source)?);
        let kept = Self { source, now, loaded_ms: AtomicU64::new(0) };
        kept.stamp();
        Ok(kept)
    }

    /// Reads the file again. Where it is wrong, what was read before stays. Blocks.
    pub fn reload(&self) -> Result<Size, String> {
        let new = T::load(&self.source)?;
        let size = new.size();
        self.now.store(Arc::new(new));
        self.stamp();
        Ok(size)
    }

    pub fn now(&self) -> arc_swap::Guard<Arc<T>> {
        self.now.load()
    }

    pub fn size(&self) -> Size {
        self.now().size()
    }

    /// Milliseconds since the epoch at which the file was last read.
    pub fn loaded_ms(&self) -> u64 {
        self.loaded_ms.load(Ordering::Relaxed)
    }

    fn stamp(&self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.loaded_ms.store(since.map_or(0, |since| since.as_millis() as u64), Ordering::Relaxed);
    }
}

const SECRET: usize = 32;

/// Holds nothing by itself: what no snapshot needs any more is gone.
type ByName<T> = Mutex<HashMap<String, Weak<Kept<T>>>>;

pub struct Registry {
    secret: [u8; SECRET],
    lists: ByName<AddressList>,
    scores: ByName<Scores>,
    countries: ByName<Countries>,
}

impl Default for Registry {
    fn default() -> Self {
        let mut secret = [0; SECRET];
        if aws_lc_rs::rand::fill(&mut secret).is_err() {
            // The type allows it to fail, the library does not: and who guessed this could save himself some work, no more.
            fastrand::fill(&mut secret);
        }
        Self { secret, lists: Mutex::default(), scores: Mutex::default(), countries: Mutex::default() }
    }
}

impl Registry {
    /// A secret of this process, for proofs that no other node has to know.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    pub fn list(&self, name: &str, source: Source) -> Result<Arc<Kept<AddressList>>, String> {
        get(&self.lists, name, source)
    }

    pub fn scores(&self, source: Source) -> Result<Arc<Kept<Scores>>, String> {
        get(&self.scores, "", source)
    }

    pub fn countries(&self, source: Source) -> Result<Arc<Kept<Countries>>, String> {
        get(&self.countries, "", source)
    }
}

/// What is there under this name from the same file, or the file, read now.
fn get<T: Loaded>(kept: &ByName<T>, name: &str, source: Source) -> Result<Arc<Kept<T>>, String> {
    // Nothing is left half done under this lock, and workers never take it.
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|_, one| one.strong_count() > 0);
    if let Some(known) = kept.get(name).and_then(Weak::upgrade).filter(|known| known.source == source) {
        return Ok(known);
    }
    let new = Arc::new(Kept::load(source)?);
    kept.insert(name.to_owned(), Arc::downgrade(&new));
    Ok(new)
}
