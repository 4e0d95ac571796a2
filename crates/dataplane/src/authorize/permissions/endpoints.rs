//! Patterns of methods and paths as one tree for each scope and role: a path is walked down once, however many there are.

use std::sync::Arc;

use hashbrown::HashMap;

use super::pattern::{Methods, Pattern, Segment, Target};
use super::{Grants, Holder};
use crate::caller::Caller;

#[derive(Default)]
pub(super) struct Endpoints {
    scopes: HashMap<Arc<str>, Owned>,
    roles: HashMap<Arc<str>, Owned>,
}

/// The tree of one scope or role, and the place of that in the section.
struct Owned {
    number: u32,
    tree: Step,
}

/// What may follow after some segments of a path.
#[derive(Default)]
struct Step {
    literals: HashMap<Box<str>, Step>,
    any: Option<Box<Step>>,
    /// Where the path ends here.
    here: Effects,
    /// Where it ends here or anywhere below.
    below: Effects,
}

#[derive(Default)]
struct Effects {
    allowed: Methods,
    denied: Methods,
}

#[derive(Clone, Copy, Default)]
struct Found {
    allowed: bool,
    denied: bool,
}

impl Endpoints {
    pub(super) fn compile(grants: &[Grants]) -> Self {
        let mut endpoints = Self::default();
        for (grants, number) in grants.iter().zip(0..) {
            let mut tree = Step::default();
            let patterns = grants.patterns.iter();
            for (pattern, methods) in
                patterns.filter_map(|one| one.methods.as_ref().map(|methods| (one, methods)))
            {
                tree.insert(pattern, methods);
            }
            let owned = Owned { number, tree };
            match &grants.holder {
                Holder::Scope(name) => endpoints.scopes.insert(Arc::clone(name), owned),
                Holder::Role(name) => endpoints.roles.insert(Arc::clone(name), owned),
            };
        }
        endpoints
    }

    /// Gives the place of what allows the target; refuses with that of what forbids it, if anything does. All of a
    /// caller's scopes and roles are asked, since one that forbids wins.
    pub(super) fn check(&self, caller: &Caller, target: Target<'_>) -> Result<u32, Option<u32>> {
        let path = target.path.strip_prefix('/').unwrap_or(target.path);
        // A service rarely tells `/a` from `/a/`, and a rule about one is meant for both.
        let path = path.strip_suffix('/').unwrap_or(path);
        let path = (!path.is_empty()).then_some(path);
        let scopes = caller.scopes.iter().filter_map(|name| self.scopes.get(&**name));
        let roles =
            caller.roles.iter().flat_map(|roles| &roles.list).filter_map(|name| self.roles.get(&**name));
        let mut allowed_by = None;
        for owned in scopes.chain(roles) {
            let mut found = Found::default();
            owned.tree.walk(path, &target, &mut found);
            if found.denied {
                return Err(Some(owned.number));
            }
            if found.allowed {
                allowed_by = allowed_by.or(Some(owned.number));
            }
        }
        allowed_by.ok_or(None)
    }
}

impl Step {
    fn insert(&mut self, pattern: &Pattern, methods: &Methods) {
        let end = pattern.segments.iter().fold(self, |step, segment| match segment {
            Segment::Literal(text) => step.literals.entry(text.clone()).or_default(),
            Segment::Any => step.any.get_or_insert_default(),
        });
        let effects = if pattern.is_open { &mut end.below } else { &mut end.here };
        let list = if pattern.denies { &mut effects.denied } else { &mut effects.allowed };
        list.add(methods);
    }

    /// Each step is come to by one way at most, so a walk takes no more steps than there are in the patterns.
    fn walk(&self, path: Option<&str>, target: &Target<'_>, found: &mut Found) {
        self.below.tell(target, found);
        let Some(path) = path else { return self.here.tell(target, found) };
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        if let Some(step) = self.literals.get(first) {
            step.walk(rest, target, found);
        }
        if let Some(step) = &self.any {
            step.walk(rest, target, found);
        }
    }
}

impl Effects {
    fn tell(&self, target: &Target<'_>, found: &mut Found) {
        found.allowed |= self.allowed.have(target);
        found.denied |= self.denied.have(target);
    }
}
