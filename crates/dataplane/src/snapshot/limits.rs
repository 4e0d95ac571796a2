//! What a snapshot says about limits outside its tiers and routes.

use std::sync::Arc;

use crate::limit::Tiers;
use crate::record::{Registry, Tally};
use crate::shared_store::Settings;
use crate::snapshot::document::{LimitHeaders, SnapshotDocument, TierDocument};
use crate::snapshot::{Counted, Named};

#[derive(Clone, Copy, Debug)]
pub struct LimitSettings {
    pub max_keys: u32,
    pub max_waiting: u32,
    /// Charged for requests that no route or no credential accounts for (D1, D2).
    pub unauthenticated_tier: Option<u32>,
    /// Charged for failed authentications, and asked before anything else.
    pub failed_authentication_tier: Option<u32>,
    pub headers: LimitHeaders,
}

impl LimitSettings {
    pub(super) fn compile(document: &SnapshotDocument, tiers: &Tiers) -> Result<Self, String> {
        let tier = |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => {
                tiers.index(name).map(Some).ok_or_else(|| format!("snapshot: unknown tier `{name}`"))
            }
        };
        Ok(Self {
            max_keys: document.node.max_limit_keys,
            max_waiting: document.node.max_limit_waiting,
            unauthenticated_tier: tier(&document.unauthenticated_tier)?,
            failed_authentication_tier: tier(&document.failed_authentication_tier)?,
            headers: document.limit_headers,
        })
    }
}

/// Where shared tiers are counted; without any, nowhere.
pub(super) fn shared_store(
    document: &SnapshotDocument,
    tiers: &Tiers,
) -> Result<Option<Arc<Settings>>, String> {
    match &document.shared_store {
        Some(store) if tiers.shares() => Settings::compile(store).map(|settings| Some(Arc::new(settings))),
        None if tiers.shares() => Err("snapshot: tiers are shared, and there is no shared store".to_owned()),
        Some(_) | None => Ok(None),
    }
}

/// A tier, as records and metrics speak of it.
#[derive(Debug)]
pub struct TierEntry {
    pub counted: Counted,
    /// Requests that it would have refused, were it not on trial.
    pub would_refuse: Arc<Tally>,
    pub dry_run: bool,
}

impl TierEntry {
    pub(super) fn compile(document: &TierDocument, metrics: &Registry) -> Self {
        let named = Named::new(&document.name, &document.at);
        let counted = Counted { named, refused: metrics.tier(&document.name) };
        Self { counted, would_refuse: metrics.trial(&document.name), dry_run: document.dry_run }
    }
}
