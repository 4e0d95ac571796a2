//! Tokens that count no more although they are genuine: one by one, or all that a user or an identity had before some
//! time. Shared by all workers; a token that was verified before is held against it again whenever it has changed.
//!
//! Only digests are kept, so that each entry takes the same room, however long the text is that it was made of.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use aws_lc_rs::digest::{Context, SHA256};
use hashbrown::HashMap;

use crate::snapshot::document::{RevocationDocument, RevokedKindDocument};

/// Identities that may be revoked as a whole, apart from the bound of all else; more count as all identities.
const MAX_IDENTITIES: usize = 1_000;

type Digest = [u8; 32];

/// Which tokens an entry means, of those that it is about, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    issued_before_ms: i64,
    until_ms: i64,
}

impl Mark {
    /// A token that does not say when it was issued may be an old one.
    fn hits(self, issued_ms: Option<i64>, now_ms: i64) -> bool {
        now_ms < self.until_ms && issued_ms.is_none_or(|issued| issued < self.issued_before_ms)
    }

    fn join(&mut self, other: Self) {
        self.issued_before_ms = self.issued_before_ms.max(other.issued_before_ms);
        self.until_ms = self.until_ms.max(other.until_ms);
    }
}

/// What an entry is about: one text of a token, or all tokens of an identity.
enum Entry {
    Text { digest: Digest, mark: Mark, instead: Wide },
    Wide(Wide),
}

/// All tokens of one identity, or of all, that were issued before a time.
struct Wide {
    identity: Option<Box<str>>,
    mark: Mark,
}

/// How many entries of texts there may be, and what time it is.
#[derive(Clone, Copy)]
struct Bound {
    most: usize,
    now_ms: i64,
}

#[derive(Default)]
struct Tables {
    digests: HashMap<Digest, Mark>,
    identities: HashMap<Box<str>, Mark>,
    everything: Option<Mark>,
    /// Entries that there was no room for, so that all tokens of their identities stand in for them.
    covered: u64,
}

/// What is said of one token by which it can be revoked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked<'a> {
    pub(super) identity: &'a str,
    pub(super) id: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) issued_ms: Option<i64>,
}

/// How many entries there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevocationsSize {
    pub held: usize,
    pub covered: u64,
    pub most: usize,
}

pub struct Revocations {
    /// Changes with every entry that is added. 0: there never was one.
    version: AtomicU64,
    most: AtomicUsize,
    tables: RwLock<Tables>,
}

impl Default for Revocations {
    /// Without a bound until a configuration says one: what was revoked before is there before it.
    fn default() -> Self {
        let (version, tables) = (AtomicU64::new(0), RwLock::default());
        Self { version, most: AtomicUsize::new(usize::MAX), tables }
    }
}

impl Revocations {
    /// Follows the configuration. What is held stays; more than this is only added after it has gone.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Adds entries, or with `replace` forgets all others. An entry for the same replaces an earlier one. Where there is
    /// no room for an entry, all tokens of its identity that were issued before it are revoked instead: what was
    /// withdrawn never becomes good for want of room. Gives how many went that way.
    pub fn revoke(
        &self,
        documents: &[RevocationDocument],
        replace: bool,
        now_ms: i64,
    ) -> Result<u64, String> {
        let entries = documents.iter().map(Entry::compile).collect::<Result<Vec<_>, _>>()?;
        let bound = Bound { most: self.most.load(Ordering::Relaxed), now_ms };
        if replace {
            let mut fresh = Tables::default();
            fresh.add(entries, bound);
            let covered = fresh.covered;
            self.change(|tables| *tables = fresh);
            return Ok(covered);
        }
        Ok(self.change(|tables| {
            let before = tables.covered;
            tables.add(entries, bound);
            tables.covered - before
        }))
    }

    /// Takes entries away; gives how many there were.
    pub fn restore(&self, documents: &[RevocationDocument]) -> Result<usize, String> {
        let entries = documents.iter().map(Entry::compile).collect::<Result<Vec<_>, _>>()?;
        let mut tables = self.write();
        Ok(entries.iter().filter(|entry| tables.remove(entry)).count())
    }

    pub fn size(&self) -> RevocationsSize {
        let tables = self.read();
        let wide = tables.identities.len() + usize::from(tables.everything.is_some());
        let held = tables.digests.len() + wide;
        RevocationsSize { held, covered: tables.covered, most: self.most.load(Ordering::Relaxed) }
    }

    /// What was held against the entries at this version need not be again while it lasts.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn is_revoked(&self, token: &Marked<'_>, now_ms: i64) -> bool {
        if self.version() == 0 {
            return false;
        }
        let tables = self.read();
        let is_hit = |mark: Option<&Mark>| mark.is_some_and(|mark| mark.hits(token.issued_ms, now_ms));
        if is_hit(tables.everything.as_ref()) || is_hit(tables.identities.get(token.identity)) {
            return true;
        }
        let texts = [(RevokedKindDocument::Token, token.id), (RevokedKindDocument::Subject, token.user)];
        !tables.digests.is_empty()
            && texts.into_iter().filter_map(|(kind, text)| Some((kind, text?))).any(|(kind, text)| {
                is_hit(tables.digests.get(&digest(kind, None, text)))
                    || is_hit(tables.digests.get(&digest(kind, Some(token.identity), text)))
            })
    }

    fn change<R>(&self, work: impl FnOnce(&mut Tables) -> R) -> R {
        let mut tables = self.write();
        let given = work(&mut tables);
        // Under the lock: whoever sees the new number finds the new entries.
        self.version.fetch_add(1, Ordering::Release);
        given
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        // Nothing is left half done under this lock, so a panic elsewhere does not spoil what it guards.
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn compile(document: &RevocationDocument) -> Result<Self, String> {
        let RevocationDocument { kind, identity, value, issued_before_ms, until_ms } = document;
        let mark = Mark { issued_before_ms: *issued_before_ms, until_ms: *until_ms };
        let wide = Wide { identity: identity.as_deref().map(Box::from), mark };
        let mark = match kind {
            RevokedKindDocument::Token => Mark { issued_before_ms: i64::MAX, ..mark },
            RevokedKindDocument::Subject | RevokedKindDocument::Identity => mark,
        };
        match (kind, value) {
            (RevokedKindDocument::Identity, None) => Ok(Self::Wide(wide)),
            (RevokedKindDocument::Token | RevokedKindDocument::Subject, Some(value)) => {
                Ok(Self::Text { digest: digest(*kind, identity.as_deref(), value), mark, instead: wide })
            }
            (RevokedKindDocument::Identity, Some(_)) => Err("of an identity there is no `value`".to_owned()),
            (RevokedKindDocument::Token | RevokedKindDocument::Subject, None) => {
                Err("of a token or a subject there is a `value`".to_owned())
            }
        }
    }
}

impl Tables {
    fn add(&mut self, entries: Vec<Entry>, bound: Bound) {
        if self.digests.len().saturating_add(entries.len()) > bound.most {
            self.sweep(bound.now_ms);
        }
        for entry in entries {
            match entry {
                Entry::Wide(wide) => self.widen(wide, |held, mark| *held = mark),
                Entry::Text { digest, instead, .. }
                    if self.digests.len() >= bound.most && !self.digests.contains_key(&digest) =>
                {
                    self.covered += 1;
                    self.widen(instead, Mark::join);
                }
                Entry::Text { digest, mark, .. } => {
                    self.digests.insert(digest, mark);
                }
            }
        }
    }

    fn widen(&mut self, wide: Wide, put: impl Fn(&mut Mark, Mark)) {
        let Wide { identity, mark } = wide;
        let full = self.identities.len() >= MAX_IDENTITIES;
        match identity.filter(|name| !full || self.identities.contains_key(name)) {
            Some(name) => put(self.identities.entry(name).or_insert(mark), mark),
            None => put(self.everything.get_or_insert(mark), mark),
        }
    }

    fn remove(&mut self, entry: &Entry) -> bool {
        match entry {
            Entry::Text { digest, .. } => self.digests.remove(digest).is_some(),
            Entry::Wide(Wide { identity: Some(name), .. }) => self.identities.remove(name).is_some(),
            Entry::Wide(Wide { identity: None, .. }) => self.everything.take().is_some(),
        }
    }

    fn sweep(&mut self, now_ms: i64) {
        let lasts = |mark: &Mark| now_ms < mark.until_ms;
        self.digests.retain(|_, mark| lasts(mark));
        self.identities.retain(|_, mark| lasts(mark));
        self.everything = self.everything.filter(lasts);
    }
}

/// Of a token's text, with what it is and for which identity, so that none can be taken for another.
fn digest(kind: RevokedKindDocument, identity: Option<&str>, text: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&[kind as u8, u8::from(identity.is_some())]);
    // Names of identities have no NUL.
    context.update(identity.unwrap_or_default().as_bytes());
    context.update(&[0]);
    context.update(text.as_bytes());
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
