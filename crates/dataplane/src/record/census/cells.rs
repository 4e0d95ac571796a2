//! What was counted between two takings: one cell for each kind of request.

use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::durations::{Distribution, Durations, Latency};
use super::kind::{Kept, Kind, Mark};
use crate::record::Sample;

/// What the requests of one kind come to.
#[derive(Debug)]
pub struct Cell {
    kept: Kept,
    pub requests: u64,
    /// Those whose client says that it is a program.
    pub programs: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    durations: Durations,
}

impl Cell {
    fn new(kind: &Kind<'_>) -> Self {
        let durations = Durations::default();
        Self { kept: kind.keep(), requests: 0, programs: 0, request_bytes: 0, response_bytes: 0, durations }
    }

    pub fn kind(&self) -> Kind<'_> {
        self.kept.kind()
    }

    pub fn distribution(&self, latency: Latency) -> Distribution {
        self.durations.distribution(latency)
    }

    #[inline]
    pub(super) fn add(&mut self, sample: &Sample, is_program: bool) {
        self.requests += 1;
        self.programs += u64::from(is_program);
        self.request_bytes += sample.request_bytes;
        self.response_bytes += sample.response_bytes;
        self.durations.observe(Latency::Total, sample.total);
        self.durations.observe(Latency::Overhead, sample.overhead);
        if let Some(upstream) = sample.upstream {
            self.durations.observe(Latency::Upstream, upstream);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.programs += other.programs;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
        self.durations.merge(&other.durations);
    }
}

#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) list: Vec<Cell>,
    /// Places in the list, by kind.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Cells {
    /// The cell that may be at this place, where it is the one of this mark.
    #[inline]
    pub(super) fn at(&mut self, place: u32, mark: &Mark) -> Option<&mut Cell> {
        self.list.get_mut(place as usize).filter(|cell| cell.kept.has(mark))
    }

    /// The place of the finest kind that is known or has room, and whether it tells less apart than was asked. Each
    /// coarser kind has room of its own, so that a flood of instances leaves some for routes; of the coarsest there is one
    /// for each class of statuses and minute, and for each class alone where nobody has taken cells for that long.
    #[inline(never)]
    pub(super) fn fit(&mut self, kind: &Kind<'_>, other: &Arc<str>, most: usize) -> (usize, bool) {
        let room = [most, most + most / 4, most + most / 2, 2 * most];
        let kinds = kind.coarser(other);
        let found = kinds.iter().zip(room).find_map(|(one, room)| {
            let known = self.find(one);
            known.or_else(|| (self.list.len() < room).then(|| self.insert(one)))
        });
        let place = found.unwrap_or_else(|| self.last(kinds));
        (place, self.list.get(place).is_some_and(|cell| !cell.kept.is(kind)))
    }

    /// Where there is no room for a minute of its own: with those of the first.
    #[cold]
    fn last(&mut self, kinds: [Kind<'_>; 4]) -> usize {
        let [.., coarsest] = kinds;
        let minute = self.list.first().map_or(coarsest.minute, |cell| cell.kind().minute);
        let coarsest = Kind { minute, ..coarsest };
        self.find(&coarsest).unwrap_or_else(|| self.insert(&coarsest))
    }

    pub(super) fn merge(&mut self, others: Self) {
        for other in others.list {
            let kind = other.kept.kind();
            match self.find(&kind).and_then(|place| self.list.get_mut(place)) {
                Some(cell) => cell.merge(&other),
                None => self.push(kind.hash(&self.hasher), other),
            }
        }
    }

    fn find(&self, kind: &Kind<'_>) -> Option<usize> {
        self.places
            .find(kind.hash(&self.hasher), |place| {
                self.list.get(*place as usize).is_some_and(|cell| cell.kept.is(kind))
            })
            .map(|place| *place as usize)
    }

    fn insert(&mut self, kind: &Kind<'_>) -> usize {
        self.push(kind.hash(&self.hasher), Cell::new(kind));
        self.list.len() - 1
    }

    fn push(&mut self, hash: u64, cell: Cell) {
        let Self { list, places, hasher } = self;
        let place = list.len() as u32;
        list.push(cell);
        let hash_of = |place: &u32| list.get(*place as usize).map_or(0, |cell| cell.kept.kind().hash(hasher));
        places.insert_unique(hash, place, hash_of);
    }
}
