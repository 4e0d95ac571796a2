//! The names of what lets callers in or keeps them out, for records.

use crate::snapshot::Named;
use crate::snapshot::document::SnapshotDocument;

#[derive(Debug)]
pub struct Authorizing {
    /// Rules in CEL, of all routes in their order.
    pub rules: Vec<Named>,
    /// Scopes and roles of the section `permissions`.
    pub permissions: Vec<Named>,
}

impl Authorizing {
    pub fn compile(document: &SnapshotDocument) -> Self {
        let policies = document.routes.iter().filter_map(|route| route.auth.as_ref());
        let rules = policies.flat_map(|auth| &auth.rules);
        Self {
            rules: rules.map(|rule| Named::new(&rule.name, &rule.at)).collect(),
            permissions: document.permissions.iter().map(|one| Named::new(&one.name, &one.at)).collect(),
        }
    }
}
