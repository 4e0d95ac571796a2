//! A bounded table of what is known by a hash, which forgets what was not used for longest.

use hashbrown::HashTable;

pub(super) const HASH: usize = 32;

/// A hash under a key that only this gateway has: uniformly distributed, and not to be chosen by a client.
pub(super) type KeyedHash = [u8; HASH];

pub(super) trait Hashed {
    fn hash(&self) -> &KeyedHash;
}

/// Two tables: when the newer is full it becomes the older, and what the older held is forgotten. What is used moves
/// to the newer, so busy entries stay.
pub(super) struct Generations<T> {
    newer: HashTable<T>,
    older: HashTable<T>,
}

impl<T> Default for Generations<T> {
    fn default() -> Self {
        Self { newer: HashTable::new(), older: HashTable::new() }
    }
}

impl<T: Hashed> Generations<T> {
    pub(super) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }

    /// What was pushed out to make room, for the caller to account for.
    pub(super) fn insert(&mut self, entry: T, most: usize) -> HashTable<T> {
        self.remove(entry.hash());
        let mut forgotten = HashTable::new();
        if self.newer.len() >= (most / 2).max(1) {
            forgotten = std::mem::replace(&mut self.older, std::mem::take(&mut self.newer));
        }
        self.newer.insert_unique(number(entry.hash()), entry, |entry| number(entry.hash()));
        forgotten
    }

    /// Looking moves nothing out: an entry that comes back from the older table finds its old place free.
    pub(super) fn find(&mut self, hash: &KeyedHash) -> Option<&mut T> {
        let place = number(hash);
        if self.newer.find(place, |entry| entry.hash() == hash).is_none() {
            let (entry, _) = self.older.find_entry(place, |entry| entry.hash() == hash).ok()?.remove();
            self.newer.insert_unique(place, entry, |entry| number(entry.hash()));
        }
        self.newer.find_mut(place, |entry| entry.hash() == hash)
    }

    pub(super) fn remove(&mut self, hash: &KeyedHash) -> Option<T> {
        for table in [&mut self.newer, &mut self.older] {
            if let Ok(found) = table.find_entry(number(hash), |entry| entry.hash() == hash) {
                return Some(found.remove().0);
            }
        }
        None
    }

    pub(super) fn extract(&mut self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let Self { newer, older } = self;
        newer.extract_if(|entry| gone(entry)).chain(older.extract_if(|entry| gone(entry))).collect()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.newer.iter_mut().chain(self.older.iter_mut())
    }
}

fn number(hash: &KeyedHash) -> u64 {
    hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Entry(KeyedHash);

    impl Hashed for Entry {
        fn hash(&self) -> &KeyedHash {
            &self.0
        }
    }

    fn hash(number: u64) -> KeyedHash {
        let mut hash = [0; HASH];
        hash[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        hash
    }

    #[test]
    fn it_never_holds_more_than_it_may_and_forgets_what_nobody_uses() {
        let mut table = Generations::default();
        for number in 0..10_000 {
            table.insert(Entry(hash(number)), 100);
            assert!(table.len() <= 101, "{}", table.len());
            assert!(table.find(&hash(0)).is_some(), "after {number}");
        }
        assert!(table.find(&hash(9_999)).is_some());
        assert!(table.find(&hash(5_000)).is_none());
    }

    #[test]
    fn what_is_pushed_out_is_given_back_once() {
        let mut table = Generations::default();
        let mut gone = 0;
        for number in 0..1_000 {
            gone += table.insert(Entry(hash(number)), 10).len();
        }
        assert_eq!(gone + table.len(), 1_000);
        assert_eq!(table.extract(|_| true).len() + gone, 1_000);
    }

    #[test]
    fn the_same_hash_is_there_once() {
        let mut table = Generations::default();
        (0..5).for_each(|_| drop(table.insert(Entry(hash(1)), 10)));
        assert_eq!(table.len(), 1);
        assert!(table.remove(&hash(1)).is_some());
        assert_eq!(table.len(), 0);
    }
}
