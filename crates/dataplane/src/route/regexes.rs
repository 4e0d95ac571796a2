//! Regular expressions of the configuration: each must match the whole text.

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

use super::search::{Candidate, Sink};

/// For all regexes of one host together; a set beyond it is refused when the table is compiled.
const MAX_SET_BYTES: usize = 256 << 20;

/// Compiles a regex that must match the whole text.
pub(super) fn whole(text: &str) -> Result<Regex, String> {
    alone(text)?;
    Regex::new(&anchored(text)).map_err(|error| format!("regex `{text}`: {error}"))
}

/// `a)|(b` is valid between our anchors and means something else there, so each regex must be valid alone first.
fn alone(text: &str) -> Result<(), String> {
    Regex::new(text).map(|_| ()).map_err(|error| format!("regex `{text}`: {error}"))
}

fn anchored(text: &str) -> String {
    format!(r"\A(?:{text})\z")
}

/// Says whether a regex can be one of a set; the set is compiled later, when all its members are known.
pub(super) fn check(text: &str) -> Result<(), String> {
    // In verbose mode a comment may swallow our closing anchor, which only compiling between the anchors shows.
    if text.contains('#') { whole(text).map(|_| ()) } else { alone(text) }
}

/// All regex paths of one host, matched in one pass over the path.
#[derive(Debug, Default)]
pub(super) struct Regexes {
    set: RegexSet,
    texts: Vec<String>,
    /// Candidates of each member of the set.
    candidates: Vec<Vec<Candidate>>,
    places: hashbrown::HashMap<String, usize>,
}

impl Regexes {
    /// Candidates arrive by rising rank. Equal texts share one member, so a path with a route per method is one regex.
    pub(super) fn insert(&mut self, text: &str, candidate: Candidate) {
        let next = self.texts.len();
        let place = *self.places.entry_ref(text).or_insert(next);
        if place == next {
            self.texts.push(anchored(text));
            self.candidates.push(Vec::new());
        }
        if let Some(list) = self.candidates.get_mut(place) {
            list.push(candidate);
        }
    }

    /// Must be called once, after the last `insert`.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        if self.texts.is_empty() {
            return Ok(());
        }
        let texts = std::mem::take(&mut self.texts);
        self.places = hashbrown::HashMap::default();
        self.set = RegexSetBuilder::new(&texts)
            .size_limit(MAX_SET_BYTES)
            .build()
            .map_err(|error| format!("the regex paths of one host do not compile together: {error}"))?;
        Ok(())
    }

    /// The lowest rank of all members.
    pub(super) fn best(&self) -> u32 {
        self.candidates.first().and_then(|list| list.first()).map_or(u32::MAX, |candidate| candidate.rank)
    }

    pub(super) fn visit<S: Sink>(&self, path: &[u8], sink: &mut S) {
        if self.best() >= sink.limit() {
            return;
        }
        for member in &self.set.matches(path) {
            sink.offer(self.candidates.get(member).map_or(&[], Vec::as_slice), &Default::default());
        }
    }
}
