//! What a route demands of whoever calls it.

use std::sync::Arc;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::snapshot::document::AuthDocument;

/// The scopes that a route demands, all of them. The default demands none.
#[derive(Clone, Debug, Default)]
pub(super) struct Demands {
    scopes: Box<[Arc<str>]>,
}

impl Demands {
    pub(super) fn compile(document: &AuthDocument) -> Self {
        Self { scopes: document.scopes.iter().map(|scope| scope.as_str().into()).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Refuses with the first scope, in the order of the configuration, that the caller lacks.
    pub(super) fn check(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.scopes.iter().find(|scope| !caller.has_scope(scope)) {
            None => Ok(()),
            Some(scope) => Err(Refusal::MissingScope { scope: Arc::clone(scope) }),
        }
    }
}
