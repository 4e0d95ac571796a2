//! Patterns and prefixes by path segment. The cost of a look-up depends on the depth of the path, not on how many
//! routes there are.

use hashbrown::HashMap;

use super::candidate::{Candidate, Sink};
use super::parameters::Parameters;
use super::path::Segment;
use crate::request::Span;

/// Up to so many children are compared one by one, which is quicker than a hash.
const FEW: usize = 4;

/// The children of a node by their segment. Both hold all of them.
#[derive(Debug, Default)]
struct Literals {
    list: Vec<(Vec<u8>, u32)>,
    map: HashMap<Vec<u8>, u32>,
}

impl Literals {
    fn get(&self, segment: &[u8]) -> Option<u32> {
        if self.list.len() <= FEW {
            return self.list.iter().find(|(text, _)| text == segment).map(|(_, child)| *child);
        }
        self.map.get(segment).copied()
    }

    /// The child of this segment; `next` becomes it where there is none.
    fn get_or_insert(&mut self, segment: &[u8], next: u32) -> u32 {
        let child = *self.map.entry_ref(segment).or_insert(next);
        if child == next {
            self.list.push((segment.to_vec(), next));
        }
        child
    }
}

#[derive(Debug)]
struct Node {
    literals: Literals,
    /// The child for `{name}`, whatever the name.
    named: Option<u32>,
    /// Routes whose pattern ends here.
    patterns: Vec<Candidate>,
    /// Routes whose prefix ends here.
    prefixes: Vec<Candidate>,
    /// The lowest rank here and below: a branch that cannot win is not entered.
    best: u32,
}

impl Node {
    fn new() -> Self {
        let (patterns, prefixes) = (Vec::new(), Vec::new());
        Self { literals: Literals::default(), named: None, patterns, prefixes, best: u32::MAX }
    }
}

#[derive(Clone, Copy)]
pub(super) enum End {
    Pattern,
    Prefix,
}

/// A path that is being walked: where its spans count from, and what is left of it.
#[derive(Clone, Copy)]
struct Rest<'a> {
    /// Offset of the end of the path in the request's text.
    end: u32,
    /// Empty, or starts with `/`.
    left: &'a [u8],
}

#[derive(Debug, Default)]
pub(super) struct Trie {
    /// The first is the root, if there is any route.
    nodes: Vec<Node>,
}

impl Trie {
    /// Candidates arrive by rising rank, so lists come out sorted.
    pub(super) fn insert(&mut self, segments: &[Segment], end: End, candidate: Candidate) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::new());
        }
        let mut place = 0;
        self.lower(place, candidate.rank);
        for segment in segments {
            place = self.child(place, segment);
            self.lower(place, candidate.rank);
        }
        let Some(node) = self.nodes.get_mut(place as usize) else { return };
        match end {
            End::Pattern => node.patterns.push(candidate),
            End::Prefix => node.prefixes.push(candidate),
        }
    }

    fn lower(&mut self, place: u32, rank: u32) {
        if let Some(node) = self.nodes.get_mut(place as usize) {
            node.best = node.best.min(rank);
        }
    }

    fn child(&mut self, place: u32, segment: &Segment) -> u32 {
        let next = self.nodes.len() as u32;
        let Some(node) = self.nodes.get_mut(place as usize) else { return place };
        let child = match segment {
            Segment::Literal(text) => node.literals.get_or_insert(text.as_bytes(), next),
            Segment::Name(_) => *node.named.get_or_insert(next),
        };
        if child == next {
            self.nodes.push(Node::new());
        }
        child
    }

    /// Offers every list that matches the path. `span` is where the path lies in the request's text.
    pub(super) fn visit<S: Sink>(&self, path: &[u8], span: Span, sink: &mut S) {
        let mut bound = Parameters::default();
        self.descend(0, Rest { end: span.end, left: path }, &mut bound, sink);
    }

    fn descend<S: Sink>(&self, place: u32, rest: Rest<'_>, bound: &mut Parameters, sink: &mut S) {
        let Some(node) = self.nodes.get(place as usize) else { return };
        if node.best >= sink.limit() {
            return;
        }
        match rest.left.split_first() {
            None => sink.offer(&node.patterns, bound),
            Some((_, after_slash)) => self.branch(node, Rest { left: after_slash, ..rest }, bound, sink),
        }
        // Deeper first: a longer prefix has the lower rank, and then this one is not even looked at.
        sink.offer(&node.prefixes, bound);
    }

    fn branch<S: Sink>(&self, node: &Node, rest: Rest<'_>, bound: &mut Parameters, sink: &mut S) {
        let length = memchr::memchr(b'/', rest.left).unwrap_or(rest.left.len());
        let Some((segment, left)) = rest.left.split_at_checked(length) else { return };
        if let Some(child) = node.literals.get(segment) {
            self.descend(child, Rest { left, ..rest }, bound, sink);
        }
        let Some(child) = node.named.filter(|_| !segment.is_empty()) else { return };
        let start = rest.end - rest.left.len() as u32;
        bound.push(Span { start, end: start + length as u32 });
        self.descend(child, Rest { left, ..rest }, bound, sink);
        bound.pop();
    }
}
