//! The compiled configuration that a request is decided by. Made off the path, swapped in as one pointer.

mod authorizing;
pub mod document;
mod document_answer;
mod document_authorize;
mod document_balance;
mod document_identity;
mod document_limit;
mod document_listener;
mod document_login;
mod document_overload;
mod document_password;
mod document_recording;
mod document_revocation;
mod document_route;
mod document_screening;
mod document_service;
mod document_shared;
mod document_signature;
mod document_tenant;
mod document_tls;
mod document_tracing;
mod https;
mod limits;
mod listeners;
mod retries;
mod routes;
mod screening;
mod services;
mod tenants;
mod texts;
mod withheld;

use std::sync::Arc;

use crate::addresses::{self, Blocklist};
use crate::authenticate::{Identities, KeyStore};
use crate::balance::{self, Services};
use crate::by_name::ByName;
use crate::limit::{Counters, Tiers};
use crate::proxy;
use crate::proxy::trace::Tracing;
use crate::record::{self, Names, Quoted, RouteMetrics, Tally};
use crate::respond::pages::Pages;
use crate::respond::policy::Policy;
use crate::route::Table;
use crate::shared_store;
use crate::shed;
use crate::tenant::Tenants;
use crate::tls;
use crate::trail::Rule;
use crate::websocket;
use authorizing::Authorizing;
pub use document::Http2Limits;
use document::{FORMAT, IdentityDocument, IdentityKindDocument, NodeDocument, SnapshotDocument};
pub use limits::{LimitSettings, TierEntry};
pub use listeners::Listener;
pub use routes::{Action, Proxy, Route};
pub use screening::Screening;
pub use services::ServiceEntry;

/// State that outlives snapshots and that compiled rules point into.
pub struct Lasting<'a> {
    pub keys: &'a KeyStore,
    pub services: &'a balance::Registry,
    pub counters: &'a Counters,
    pub metrics: &'a record::Registry,
    pub tls: &'a tls::Registry,
    pub concurrencies: &'a ByName<shed::Concurrency>,
    pub queues: &'a ByName<proxy::queue::Queue>,
    pub websockets: &'a websocket::places::AllPlaces,
    pub addresses: &'a addresses::Registry,
    pub blocks: &'a Arc<Blocklist>,
    pub workers: usize,
}

/// A name in the configuration and where it stands.
#[derive(Debug)]
pub struct Named {
    pub name: Arc<str>,
    pub at: Box<str>,
    pub quoted: Quoted,
    /// Both as a record tells them.
    encoded: Box<[u8]>,
}

/// A rule whose refusals are counted under its name.
#[derive(Debug)]
pub struct Counted {
    pub named: Named,
    pub refused: Arc<Tally>,
}

#[derive(Debug)]
pub struct IdentityEntry {
    pub counted: Counted,
    /// Python fetches the keys, so it can be asked for newer ones.
    pub keys_are_pushed: bool,
    /// What a browser shows when it asks for a password.
    pub realm: Option<Box<str>>,
    /// Bodies of its callers are held against their digest before anybody sees them; of longer ones nothing is read.
    pub max_signed_body: Option<u64>,
}

/// What the whole node has under way at once for its requests.
#[derive(Clone, Copy, Debug)]
pub struct NodeBounds {
    pub file_transfers: u32,
    pub compressions: u32,
    /// Bytes of bodies that are kept for another attempt.
    pub kept_bodies: usize,
}

impl NodeBounds {
    fn of(node: &NodeDocument) -> Self {
        Self {
            file_transfers: node.max_file_transfers,
            compressions: node.max_compressions,
            kept_bodies: usize::try_from(node.max_retry_memory_bytes).unwrap_or(usize::MAX),
        }
    }
}

pub struct Snapshot {
    pub version: u64,
    pub node: Box<str>,
    pub software: Box<str>,
    pub overload: shed::Settings,
    pub limits: LimitSettings,
    pub record_queue: u32,
    pub token_cache: u32,
    pub max_revocations: u32,
    pub bounds: NodeBounds,
    pub listeners: Vec<Arc<Listener>>,
    pub table: Table,
    pub routes: Vec<Route>,
    authorizing: Authorizing,
    pub services: Services,
    pub service_entries: Vec<ServiceEntry>,
    pub identities: Identities,
    pub identity_entries: Vec<IdentityEntry>,
    pub tiers: Tiers,
    /// Where some are counted together with other nodes.
    pub shared_store: Option<Arc<shared_store::Settings>>,
    pub tier_entries: Vec<TierEntry>,
    /// `None`: requests belong to no tenant.
    pub tenants: Option<Tenants>,
    pub screening: Screening,
    /// How traces are kept, where spans are made of records.
    pub tracing: Option<Tracing>,
    /// Pages of refusals before a route is found, and of routes without pages of their own.
    pub error_pages: Arc<Pages>,
    /// Headers of those refusals.
    pub unrouted_response: Policy,
    pub unrouted: Arc<RouteMetrics>,
    pub unidentified: Arc<Tally>,
    /// What records tell of requests without a route.
    pub recording: record::Policy,
    has_websockets: bool,
}

impl Snapshot {
    /// Reads and compiles what Python sent. The error names the rule and its position.
    pub fn compile(json: &[u8], lasting: &Lasting<'_>) -> Result<Self, String> {
        let document: SnapshotDocument =
            serde_json::from_slice(json).map_err(|error| format!("snapshot: {error}"))?;
        if document.format != FORMAT {
            return Err(format!(
                "snapshot: format {} is not {FORMAT}: engine and package differ",
                document.format
            ));
        }
        if document.version == 0 {
            return Err("snapshot: version 0 is not a version; versions count from 1".to_owned());
        }
        Self::compile_document(document, lasting)
    }

    /// A route has WebSockets, so clients of HTTP/2 are told that they may open some (RFC 8441 section 3).
    pub fn has_websockets(&self) -> bool {
        self.has_websockets
    }

    fn compile_document(document: SnapshotDocument, lasting: &Lasting<'_>) -> Result<Self, String> {
        lasting.metrics.set_most(document.node.max_metric_names as usize);
        let parts = Parts::compile(&document, lasting)?;
        let shared_store = limits::shared_store(&document, &parts.tiers)?;
        let routes = routes::compile(&document, &parts, lasting)?;
        let Parts { identities, tiers, tenants, services, screening, error_pages, listeners, recording } =
            parts;
        Ok(Self {
            version: document.version,
            overload: shed::Settings::compile(document.overload.as_ref(), document.node.max_in_flight),
            limits: LimitSettings::compile(&document, &tiers)?,
            record_queue: document.node.record_queue,
            token_cache: document.node.token_cache,
            max_revocations: document.node.max_revocations,
            bounds: NodeBounds::of(&document.node),
            table: Table::compile(&document.routes, routes::canonical)?,
            has_websockets: routes.iter().any(Route::has_websockets),
            routes,
            listeners,
            authorizing: Authorizing::compile(&document),
            service_entries: services::compile(&document, &services, lasting),
            services,
            identities,
            identity_entries: identity_entries(&document, lasting.metrics),
            tiers,
            tenants,
            shared_store,
            screening,
            tracing: document.tracing.as_ref().map(Tracing::compile),
            tier_entries: tier_entries(&document, lasting.metrics),
            error_pages,
            unrouted_response: Policy::unrouted(document.security_headers),
            unrouted: lasting.metrics.unrouted(),
            unidentified: lasting.metrics.unidentified(),
            recording,
            node: document.node.name.into(),
            software: document.node.software.into(),
        })
    }

    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|listener| *listener.named.name == *name)
    }
}

/// What routes point into.
struct Parts {
    identities: Identities,
    tiers: Tiers,
    tenants: Option<Tenants>,
    services: Services,
    screening: Screening,
    error_pages: Arc<Pages>,
    listeners: Vec<Arc<Listener>>,
    recording: record::Policy,
}

impl Parts {
    fn compile(document: &SnapshotDocument, lasting: &Lasting<'_>) -> Result<Self, String> {
        let tiers = Tiers::compile(&document.tiers, lasting.counters)?;
        Ok(Self {
            identities: Identities::compile(&document.identities, &document.key_store, lasting.keys)?
                .checking(document.passwords.clone()),
            tenants: tenants::compile(document, &tiers, lasting.metrics)?,
            tiers,
            services: services::live(document, lasting)?,
            screening: Screening::compile(document, lasting)?,
            error_pages: document.error_pages.as_ref().map(Pages::compile).unwrap_or_default(),
            listeners: listeners::compile(document, lasting)?,
            recording: recording(document)?,
        })
    }
}

/// What no record may show, whatever the configuration says: where identities look for credentials.
fn recording(document: &SnapshotDocument) -> Result<record::Policy, String> {
    let parameters = withheld::names(withheld::secret_parameters(&document.identities));
    let headers: Vec<&str> = withheld::credentials(&document.identities).collect();
    record::Policy::compile(&document.recording, parameters, &headers)
}

fn identity_entries(document: &SnapshotDocument, metrics: &record::Registry) -> Vec<IdentityEntry> {
    document.identities.iter().map(|identity| IdentityEntry::compile(identity, metrics)).collect()
}

fn tier_entries(document: &SnapshotDocument, metrics: &record::Registry) -> Vec<TierEntry> {
    document.tiers.iter().map(|tier| TierEntry::compile(tier, metrics)).collect()
}

impl Named {
    pub fn new(name: &str, at: &str) -> Self {
        Self {
            name: name.into(),
            at: at.into(),
            quoted: Quoted::new(name),
            encoded: record::encode_rule(name, at),
        }
    }

    fn pair(&self) -> (&str, &str) {
        (&self.name, &self.at)
    }
}

impl IdentityEntry {
    fn compile(document: &IdentityDocument, metrics: &record::Registry) -> Self {
        let keys_are_pushed = match &document.kind {
            IdentityKindDocument::Jwt(jwt) => jwt.keys.is_none(),
            IdentityKindDocument::ApiKey(api_key) => api_key.keys.is_none() && !api_key.stored,
            IdentityKindDocument::Mtls(_)
            | IdentityKindDocument::Oidc(_)
            | IdentityKindDocument::Introspection(_)
            | IdentityKindDocument::Basic(_)
            | IdentityKindDocument::Signature(_) => false,
        };
        let (realm, max_signed_body) = match &document.kind {
            IdentityKindDocument::Basic(basic) => (Some(basic.realm.as_str().into()), None),
            IdentityKindDocument::Signature(signature) => (None, Some(signature.max_body_bytes)),
            IdentityKindDocument::Jwt(_)
            | IdentityKindDocument::ApiKey(_)
            | IdentityKindDocument::Mtls(_)
            | IdentityKindDocument::Introspection(_)
            | IdentityKindDocument::Oidc(_) => (None, None),
        };
        let named = Named::new(&document.name, &document.at);
        let counted = Counted { named, refused: metrics.identity(&document.name) };
        Self { counted, keys_are_pushed, realm, max_signed_body }
    }
}

impl Names for Snapshot {
    fn rule(&self, rule: Rule) -> Option<(&str, &str)> {
        self.named(rule).map(Named::pair)
    }

    fn encoded(&self, rule: Rule) -> Option<&[u8]> {
        self.named(rule).map(|named| &*named.encoded)
    }
}

impl Snapshot {
    fn named(&self, rule: Rule) -> Option<&Named> {
        match rule {
            Rule::None => None,
            Rule::Listener(index) => self.listeners.get(index as usize).map(|listener| &listener.named),
            Rule::Route(index) => self.routes.get(index as usize).map(|route| &route.named),
            Rule::Identity(index) => {
                self.identity_entries.get(index as usize).map(|entry| &entry.counted.named)
            }
            Rule::Permission(index) => self.authorizing.permissions.get(index as usize),
            Rule::Condition(index) => self.authorizing.rules.get(index as usize),
            Rule::Tier(index) => self.tier_entries.get(index as usize).map(|entry| &entry.counted.named),
            Rule::AddressList(index) => self.screening.entries.get(index as usize).map(|entry| &entry.named),
            Rule::Service(index) => self.service_entries.get(index as usize).map(|entry| &entry.named),
        }
    }
}
