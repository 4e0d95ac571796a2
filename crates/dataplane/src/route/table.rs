//! The compiled table: routes by host, then by path.

use hashbrown::HashMap;

use super::Canonical;
use super::candidate::{Candidate, Sink};
use super::path::Path;
use super::precedence::{Host, Standing, Weight};
use super::regexes::{self, Regexes};
use super::rule::Rule;
use super::trie::{End, Trie};
use crate::request::{Request, Span};
use crate::snapshot::document::RouteDocument;

/// All routes of one snapshot, ready to be asked. Never changes; a new configuration compiles a new one.
///
/// A look-up costs a hash per kind of host and path and one step per path segment, whatever the number of routes.
/// Only routes that share host and path are tried one by one.
#[derive(Debug, Default)]
pub struct Table {
    rules: Vec<Rule>,
    exact_hosts: HashMap<Vec<u8>, Paths>,
    wildcard_hosts: HashMap<Vec<u8>, Paths>,
    any_host: Paths,
}

impl Table {
    /// Compiles routes in the order of the file. `canonical` does to literal paths what intake does to requests'.
    ///
    /// Refuses unusable hosts, paths, methods and regexes; the error names the route and where it stands.
    pub fn compile(routes: &[RouteDocument], canonical: Canonical) -> Result<Self, String> {
        let mut table = Self::default();
        let mut paths = Vec::with_capacity(routes.len());
        let mut entries = Vec::with_capacity(routes.len());
        for (order, route) in (0..).zip(routes) {
            let name = |error| format!("{}: route `{}`: {error}", route.at, route.name);
            let path = checked_path(route, canonical).map_err(name)?;
            let rule = Rule::compile(&route.matching, path.names()).map_err(name)?;
            for host in hosts(route).map_err(name)? {
                entries.push((Standing::new(&host, &path, &weight(route, &rule, order)), host, order));
            }
            table.rules.push(rule);
            paths.push(path);
        }
        entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        for (rank, (_, host, route)) in (0..).zip(entries) {
            let Some(path) = paths.get(route as usize) else { continue };
            table.paths(host).insert(path, Candidate { rank, route });
        }
        table.finish()?;
        Ok(table)
    }

    /// The names of a route's path parameters, in the order of [`super::Found::parameters`]; empty for an unknown route.
    pub fn names(&self, route: u32) -> &[Box<str>] {
        self.rule(route).map_or(&[], |rule| &rule.names)
    }

    pub(super) fn rule(&self, route: u32) -> Option<&Rule> {
        self.rules.get(route as usize)
    }

    /// Offers every candidate that matches the request's host and path.
    pub(super) fn visit<S: Sink>(&self, request: &Request, sink: &mut S) {
        let (host, path) = (request.slice(request.host), request.slice(request.path));
        if !self.exact_hosts.is_empty()
            && let Some(paths) = self.exact_hosts.get(host)
        {
            paths.visit(path, request.path, sink);
        }
        if !self.wildcard_hosts.is_empty() {
            self.visit_wildcards(host, path, request.path, sink);
        }
        self.any_host.visit(path, request.path, sink);
    }

    fn visit_wildcards<S: Sink>(&self, host: &[u8], path: &[u8], span: Span, sink: &mut S) {
        // From the left, so that the longest suffix comes first; a dot in front would leave an empty label.
        for dot in memchr::memchr_iter(b'.', host).filter(|dot| *dot > 0) {
            let suffix = host.get(dot + 1..).unwrap_or_default();
            if let Some(paths) = self.wildcard_hosts.get(suffix) {
                paths.visit(path, span, sink);
            }
        }
    }

    fn paths(&mut self, host: Host) -> &mut Paths {
        match host {
            Host::Exact(name) => self.exact_hosts.entry(name.into_string().into_bytes()).or_default(),
            Host::Wildcard(suffix) => {
                self.wildcard_hosts.entry(suffix.into_string().into_bytes()).or_default()
            }
            Host::Any => &mut self.any_host,
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        let hosts = self.exact_hosts.values_mut().chain(self.wildcard_hosts.values_mut());
        for paths in hosts.chain(std::iter::once(&mut self.any_host)) {
            paths.regexes.finish()?;
        }
        Ok(())
    }
}

/// The routes of one host.
#[derive(Debug)]
struct Paths {
    exact: HashMap<Vec<u8>, Vec<Candidate>>,
    trie: Trie,
    regexes: Regexes,
    /// The lowest rank of all.
    best: u32,
}

impl Default for Paths {
    fn default() -> Self {
        Self { exact: HashMap::new(), trie: Trie::default(), regexes: Regexes::default(), best: u32::MAX }
    }
}

impl Paths {
    fn insert(&mut self, path: &Path, candidate: Candidate) {
        self.best = self.best.min(candidate.rank);
        match path {
            Path::Exact(text) => self.exact.entry_ref(text.as_bytes()).or_default().push(candidate),
            Path::Pattern(segments) => self.trie.insert(segments, End::Pattern, candidate),
            Path::Prefix(segments) => self.trie.insert(segments, End::Prefix, candidate),
            Path::Regex(text) => self.regexes.insert(text, candidate),
        }
    }

    fn visit<S: Sink>(&self, path: &[u8], span: Span, sink: &mut S) {
        if self.best >= sink.limit() {
            return;
        }
        if !self.exact.is_empty()
            && let Some(candidates) = self.exact.get(path)
        {
            sink.offer(candidates, &Default::default());
        }
        self.trie.visit(path, span, sink);
        self.regexes.visit(path, sink);
    }
}

fn checked_path(route: &RouteDocument, canonical: Canonical) -> Result<Path, String> {
    let path = Path::parse(&route.matching.path, canonical)?;
    if let Path::Regex(text) = &path {
        regexes::check(text)?;
    }
    Ok(path)
}

fn hosts(route: &RouteDocument) -> Result<Vec<Host>, String> {
    if route.matching.hosts.is_empty() {
        return Ok(vec![Host::Any]);
    }
    route.matching.hosts.iter().map(|text| Host::parse(text)).collect()
}

fn weight(route: &RouteDocument, rule: &Rule, order: u32) -> Weight {
    Weight {
        precedence: route.precedence,
        any_method: rule.methods.is_any(),
        matchers: rule.values.len(),
        order,
    }
}
