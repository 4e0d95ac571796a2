//! What a route demands of the scopes and roles of its callers.

use std::sync::Arc;

use crate::caller::{Caller, CallerKind};
use crate::refusal::{Demand, Forbidden, Lack, Quality, Refusal};
use crate::snapshot::document::DemandDocument;

/// Scopes and roles that a caller must have, all or any of them, and those that it must not have. The default demands
/// nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Demands {
    list: Box<[Demanded]>,
}

#[derive(Clone, Debug)]
struct Demanded {
    /// Any of them will do, or is too much.
    names: Box<[Arc<str>]>,
    lack: Arc<Lack>,
}

impl Demands {
    pub(super) fn compile(scopes: &DemandDocument, roles: &DemandDocument) -> Self {
        let challenge: Arc<str> = challenge(scopes).into();
        let list =
            [(Quality::Scope, scopes), (Quality::Role, roles)].into_iter().flat_map(|(quality, document)| {
                let demanded = |demand, names: &[String]| {
                    let lack = Lack {
                        quality,
                        demand,
                        names: names.join(" ").into(),
                        challenge: Arc::clone(&challenge),
                    };
                    let names = names.iter().map(|name| name.as_str().into()).collect();
                    Demanded { names, lack: Arc::new(lack) }
                };
                // What is asked for all of is asked for one by one, in order, so that the refusal names the first.
                let all = document.all.chunks(1).map(|one| demanded(Demand::All, one)).collect::<Vec<_>>();
                let any = (!document.any.is_empty()).then(|| demanded(Demand::Any, &document.any));
                let none = document.none.chunks(1).map(|one| demanded(Demand::None, one)).collect::<Vec<_>>();
                none.into_iter().chain(all).chain(any)
            });
        Self { list: list.collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn check(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.list.iter().find(|demanded| !demanded.is_met_by(caller)) {
            None => Ok(()),
            Some(demanded) => {
                let is_bearer = caller.kind == CallerKind::User;
                Err(Refusal::Forbidden(Forbidden::Unqualified {
                    lack: Arc::clone(&demanded.lack),
                    is_bearer,
                }))
            }
        }
    }
}

impl Demanded {
    fn is_met_by(&self, caller: &Caller) -> bool {
        let has_one = self.names.iter().any(|name| match self.lack.quality {
            Quality::Scope => caller.has_scope(name),
            Quality::Role => caller.has_role(name),
        });
        has_one == (self.lack.demand != Demand::None)
    }
}

/// Every scope with which a token would do, as RFC 6750 section 3 lists them: not those that would break out of the quotes.
fn challenge(scopes: &DemandDocument) -> String {
    let is_quotable = |scope: &&String| !scope.contains(['"', '\\']);
    let scopes = scopes.all.iter().chain(&scopes.any).filter(is_quotable);
    scopes.map(String::as_str).collect::<Vec<_>>().join(" ")
}
