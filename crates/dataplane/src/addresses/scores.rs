//! The reputation of networks: a score from 0, of which nothing good is known, to 100. Of several networks that an
//! address is in, the smallest speaks.

use std::net::IpAddr;
use std::path::Path;

use super::networks::{Span, span};
use super::ranges::{Number, Ranges};
use super::reading;
use super::registry::{Loaded, Size, Source};

/// Of whom nothing is said.
pub const UNKNOWN: u8 = 100;

#[derive(Debug)]
pub struct Scores {
    v4: Scored<u32>,
    v6: Scored<u128>,
}

/// Ranges with a score each: 9 bytes a range of IPv4, 33 of IPv6. Networks in networks become up to two ranges more.
#[derive(Debug)]
struct Scored<N> {
    ranges: Ranges<N>,
    scores: Box<[u8]>,
}

/// First and last address, and the score of the network between them.
type Entry<N> = (N, N, u8);

impl<N: Number> Scored<N> {
    /// Networks lie within each other or apart, so a stack of those that are open is enough.
    fn compile(mut entries: Vec<Entry<N>>) -> Self {
        // The wider first, so that the narrower speaks; of one network the last line.
        entries.sort_by(|(first, last, _), (other, end, _)| first.cmp(other).then(end.cmp(last)));
        let mut sweep =
            Sweep { pairs: Vec::with_capacity(entries.len()), scores: Vec::new(), open: Vec::new() };
        for entry in entries {
            sweep.close_before(entry.0);
            sweep.begin(entry);
        }
        sweep.close_all();
        Self { ranges: Ranges::sorted(sweep.pairs), scores: sweep.scores.into_boxed_slice() }
    }

    fn find(&self, number: N) -> Option<u8> {
        self.scores.get(self.ranges.find(number)?).copied()
    }
}

/// What has been gone over, and the networks that are open, the narrowest last. The first number of an open one is where
/// it goes on.
struct Sweep<N> {
    pairs: Vec<(N, N)>,
    scores: Vec<u8>,
    open: Vec<Entry<N>>,
}

impl<N: Number> Sweep<N> {
    fn push(&mut self, first: N, last: N, score: u8) {
        self.pairs.push((first, last));
        self.scores.push(score);
    }

    fn begin(&mut self, (first, last, score): Entry<N>) {
        if let Some(&(from, _, outer)) = self.open.last()
            && from < first
            && let Some(before) = first.before()
        {
            self.push(from, before, outer);
        }
        self.open.push((first, last, score));
    }

    fn close_before(&mut self, number: N) {
        while self.open.last().is_some_and(|(_, last, _)| *last < number) {
            self.close();
        }
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close();
        }
    }

    /// The narrowest ends; the one around it goes on behind it.
    fn close(&mut self) {
        let Some((first, last, score)) = self.open.pop() else { return };
        if first <= last {
            self.push(first, last, score);
        }
        let Some(after) = last.after() else {
            // It ends where all end.
            self.open.clear();
            return;
        };
        if let Some((from, _, _)) = self.open.last_mut() {
            *from = after;
        }
    }
}

#[derive(Default)]
struct Gathered {
    v4: Vec<Entry<u32>>,
    v6: Vec<Entry<u128>>,
}

impl Gathered {
    /// `10.0.0.0/8,25`
    fn add(&mut self, line: &str, most: usize) -> Result<(), String> {
        let (network, score) = line.split_once(',').ok_or("write `NETWORK,SCORE`")?;
        let score = score.trim();
        let wrong = || format!("`{score}` is no score; write a whole number from 0 to 100");
        let score = score.parse().ok().filter(|score| *score <= UNKNOWN).ok_or_else(wrong)?;
        match span(network.trim())? {
            Span::V4(first, last) => self.v4.push((first, last, score)),
            Span::V6(first, last) => self.v6.push((first, last, score)),
        }
        if self.v4.len() + self.v6.len() > most {
            return Err(format!("more than {most} networks; raise `max_entries`"));
        }
        Ok(())
    }
}

impl Scores {
    pub fn read(path: &Path, most: usize) -> Result<Self, String> {
        let mut gathered = Gathered::default();
        reading::lines(path, |line| gathered.add(line, most))?;
        Ok(Self { v4: Scored::compile(gathered.v4), v6: Scored::compile(gathered.v6) })
    }

    pub fn score(&self, address: IpAddr) -> u8 {
        let found = match address.to_canonical() {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        };
        found.unwrap_or(UNKNOWN)
    }
}

impl Loaded for Scores {
    fn load(source: &Source) -> Result<Self, String> {
        Self::read(&source.path, source.most)
    }

    fn size(&self) -> Size {
        let (v4, v6) = (&self.v4, &self.v6);
        let entries = v4.ranges.len() + v6.ranges.len();
        Size { entries, bytes: v4.ranges.bytes() + v6.ranges.bytes() + entries }
    }
}
