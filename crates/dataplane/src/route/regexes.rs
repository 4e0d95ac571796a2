//! Regular expressions of the configuration: each must match the whole text.

use hashbrown::HashMap;
use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

use super::candidate::{Candidate, Sink};
use super::parameters::Parameters;

/// For the regexes of one set together; a set beyond it is refused when the table is compiled.
const MAX_SET_BYTES: usize = 256 << 20;
/// For the automaton that one worker builds of one set while it runs. Taken only by sets that need it.
const MAX_CACHE_BYTES: usize = 16 << 20;

/// Compiles a regex that must match the whole text.
pub fn whole(text: &str) -> Result<Regex, String> {
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

/// The regex paths of one host. Those that begin with the same literal segments form one set, so that a request runs
/// few and small sets: one large set outgrows the cache of its automaton and becomes a thousand times slower.
#[derive(Debug)]
pub(super) struct Regexes {
    /// By literal beginning: empty, or `/a/b` where every match goes on with a `/`.
    sets: HashMap<Vec<u8>, Set>,
    /// Most slashes in any beginning; deeper ones need not be looked up.
    depth: usize,
    /// The lowest rank of all.
    best: u32,
}

impl Default for Regexes {
    fn default() -> Self {
        Self { sets: HashMap::new(), depth: 0, best: u32::MAX }
    }
}

impl Regexes {
    /// Candidates arrive by rising rank.
    pub(super) fn insert(&mut self, text: &str, candidate: Candidate) {
        let beginning = literal_beginning(text);
        self.depth = self.depth.max(beginning.split('/').count() - 1);
        self.best = self.best.min(candidate.rank);
        self.sets.entry_ref(beginning.as_bytes()).or_default().insert(text, candidate);
    }

    /// Must be called once, after the last `insert`.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        self.sets.values_mut().try_for_each(Set::finish)
    }

    pub(super) fn visit<S: Sink>(&self, path: &[u8], sink: &mut S) {
        if self.best >= sink.limit() {
            return;
        }
        for slash in memchr::memchr_iter(b'/', path).take(self.depth + 1) {
            let beginning = path.get(..slash).unwrap_or_default();
            if let Some(set) = self.sets.get(beginning) {
                set.visit(path, sink);
            }
        }
    }
}

/// Regexes that are matched in one pass over the path.
#[derive(Debug, Default)]
struct Set {
    set: RegexSet,
    texts: Vec<String>,
    /// Candidates of each member of the set.
    candidates: Vec<Vec<Candidate>>,
    places: HashMap<String, usize>,
}

impl Set {
    /// Equal texts share one member, so a path with a route per method is one regex.
    fn insert(&mut self, text: &str, candidate: Candidate) {
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

    fn finish(&mut self) -> Result<(), String> {
        let texts = std::mem::take(&mut self.texts);
        self.places = HashMap::new();
        self.set = RegexSetBuilder::new(&texts)
            .size_limit(MAX_SET_BYTES)
            .dfa_size_limit(MAX_CACHE_BYTES)
            .build()
            .map_err(|error| format!("the regex paths of one host do not compile together: {error}"))?;
        Ok(())
    }

    fn visit<S: Sink>(&self, path: &[u8], sink: &mut S) {
        // Members are in the order of their best rank.
        let best = self.candidates.first().and_then(|list| list.first());
        if best.is_none_or(|candidate| candidate.rank >= sink.limit()) {
            return;
        }
        for member in &self.set.matches(path) {
            sink.offer(self.candidates.get(member).map_or(&[], Vec::as_slice), &Parameters::default());
        }
    }
}

/// The whole segments that every match begins with, as `/a/b`; a match then goes on with `/`. Empty when in doubt.
fn literal_beginning(text: &str) -> &str {
    let text = text.strip_prefix('^').unwrap_or(text);
    if !text.starts_with('/') || may_have_top_level_choice(text) {
        return "";
    }
    let special = |letter: char| !letter.is_ascii_alphanumeric() && !"/_-".contains(letter);
    let end = text.find(special).unwrap_or(text.len());
    let (mut literal, rest) = text.split_at_checked(end).unwrap_or_default();
    // A repetition belongs to the letter before it, which may then be absent.
    if rest.starts_with(['?', '*', '+', '{']) {
        literal = literal.get(..end - 1).unwrap_or_default();
    }
    literal.rsplit_once('/').map_or("", |(whole_segments, _)| whole_segments)
}

/// Is there a `|` outside all groups, or a text whose groups are not to be told by counting parentheses?
fn may_have_top_level_choice(text: &str) -> bool {
    if !text.contains('|') {
        return false;
    }
    let mut depth = 0_i64;
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            '|' if depth <= 0 => return true,
            '[' | '\\' | '#' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::literal_beginning;

    #[test]
    fn a_literal_beginning_is_only_what_every_match_begins_with() {
        for (text, expected) in [
            ("/r/service-5/[0-9]+/.*", "/r/service-5"),
            ("^/r/x", "/r"),
            ("/r/(a|b)/c", "/r"),
            ("/r/x?", "/r"),
            ("/r/?x", ""),
            ("/r/{0}x", ""),
            ("/r/*", ""),
            ("/r/a|/s/b", ""),
            ("/r/[(]|/s/b[)]", ""),
            (r"/r/\(|/s/b\)", ""),
            ("/r/(?x)#(\n|/s/b", ""),
            ("(?i)/r/x", ""),
            ("/r.s/x", ""),
            (".*", ""),
            ("", ""),
        ] {
            assert_eq!(literal_beginning(text), expected, "{text}");
        }
    }
}
