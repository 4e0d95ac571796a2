//! A route compiled: the part of each stage, side by side.

use std::sync::Arc;
use std::time::Duration;

use crate::authenticate::{AuthPolicy, Identities};
use crate::authorize::{self, CrossSite, Ground, Grounds, Permissions, RuleSettings, Screen};
use crate::balance::BreakerUse;
use crate::intake;
use crate::limit::{LimitRule, Tiers};
use crate::proxy::head::HeaderChanges;
use crate::proxy::retry::{Hedge, Retry};
use crate::proxy::trace::Share;
use crate::proxy::withheld::Withheld;
use crate::record::{self, RouteMetrics};
use crate::respond::answer::Fixed;
use crate::respond::files::Files;
use crate::respond::location::{Bound, Location};
use crate::respond::pages::Pages;
use crate::respond::policy::{Policy, compile_changes};
use crate::route::{self, Forwarding};
use crate::session::Login;
use crate::shed::Concurrency;
use crate::snapshot::document::{
    ActionDocument, BreakerUseDocument, HostHeader, PathMatchDocument, PathParameters, Priority,
    ProxyDocument, RouteDocument, SnapshotDocument,
};
use crate::snapshot::https::HttpsOnly;
use crate::snapshot::{Lasting, Listener, Named, Parts, retries, tenants, texts, withheld};
use crate::tenant::Tenants;
use crate::websocket;

pub struct Route {
    pub named: Named,
    pub priority: Priority,
    pub auth: Option<AuthPolicy>,
    pub policy: authorize::Policy,
    /// Whose it is; `None`: everybody's.
    pub tenants: Option<Box<[Box<str>]>>,
    /// `None`: requests that came in plain are served.
    pub https_only: Option<HttpsOnly>,
    /// `None`: from every address.
    pub screen: Option<Box<Screen>>,
    pub limit: Option<LimitRule>,
    pub action: Action,
    /// Milliseconds since the epoch from which on the route is no more.
    pub gone_after_ms: Option<u64>,
    pub timeout: Duration,
    pub max_body: u64,
    /// Credentials, of whatever identity, that are not forwarded.
    pub withheld: Withheld,
    pub request_headers: HeaderChanges,
    pub response: Policy,
    pub error_pages: Arc<Pages>,
    pub metrics: Arc<RouteMetrics>,
    /// The limit of its service, where limits adapt.
    pub concurrency: Option<Arc<Concurrency>>,
    /// `None`: a request is sent once.
    pub retry: Option<Box<Retry>>,
    /// `None`: one instance is asked at a time.
    pub hedge: Option<Box<Hedge>>,
    /// Of the traces that begin here, where it is another than that of all.
    pub trace_share: Option<Share>,
    /// `None`: nothing is demanded of what browsers vouch for.
    pub cross_site: Option<CrossSite>,
    /// What records tell of its requests.
    pub recording: record::Policy,
}

pub enum Action {
    Proxy(Proxy),
    Answer(Fixed),
    Files(Arc<Files>),
    Login(Arc<Login>),
}

impl Route {
    /// Whose a login is, is known when it is over.
    pub fn has_tenant(&self) -> bool {
        !matches!(self.action, Action::Login(_))
    }

    pub fn has_websockets(&self) -> bool {
        match &self.action {
            Action::Proxy(proxy) => proxy.websocket.is_some(),
            Action::Answer(_) | Action::Files(_) | Action::Login(_) => false,
        }
    }
}

#[derive(Debug)]
pub struct Proxy {
    /// Index in the snapshot.
    pub service: u32,
    pub forwarding: Forwarding,
    pub breaker: BreakerUse,
    pub host: HostHeader,
    pub websocket: Option<websocket::Settings>,
}

pub(super) fn compile(
    document: &SnapshotDocument,
    parts: &Parts,
    lasting: &Lasting<'_>,
) -> Result<Vec<Route>, String> {
    let Parts { identities, tiers, tenants, screening, error_pages, listeners, recording, .. } = parts;
    let (tenants, grounds) = (tenants.as_ref(), &screening.grounds);
    Context { document, identities, tiers, tenants, error_pages, listeners, grounds, recording, lasting }
        .routes()
}

struct Context<'a> {
    document: &'a SnapshotDocument,
    identities: &'a Identities,
    tiers: &'a Tiers,
    tenants: Option<&'a Tenants>,
    error_pages: &'a Arc<Pages>,
    listeners: &'a [Arc<Listener>],
    grounds: &'a Grounds,
    recording: &'a record::Policy,
    lasting: &'a Lasting<'a>,
}

impl Context<'_> {
    fn routes(&self) -> Result<Vec<Route>, String> {
        let common = common(self.document)?;
        let mut first_rule = 0;
        let compile = |route: &RouteDocument| {
            let compiled = self.compile(route, (&common, first_rule));
            first_rule += route.auth.as_ref().map_or(0, |auth| auth.rules.len() as u32);
            compiled
        };
        self.document.routes.iter().map(compile).collect()
    }

    fn compile(&self, route: &RouteDocument, common: (&authorize::Common, u32)) -> Result<Route, String> {
        texts::check(route)?;
        let (auth, policy) = self.auth(route, common)?;
        let (dropped, lines) = compile_changes(&route.request_headers);
        let service = match &route.action {
            ActionDocument::Proxy(proxy) => proxy.service.as_str(),
            ActionDocument::Redirect { .. }
            | ActionDocument::Respond { .. }
            | ActionDocument::Files(_)
            | ActionDocument::Login { .. }
            | ActionDocument::Health {} => "",
        };
        Ok(Route {
            named: Named::new(&route.name, &route.at),
            priority: route.priority,
            auth,
            policy,
            https_only: HttpsOnly::compile(route.https_only, self.listeners),
            screen: self.screen(route)?,
            tenants: route
                .tenants
                .as_ref()
                .map(|names| names.iter().map(|name| name.as_str().into()).collect()),
            limit: tenants::limit(route, service, self.tiers, self.tenants)?,
            action: self.action(route)?,
            gone_after_ms: route.gone_after_ms,
            timeout: Duration::from_millis(route.timeout_ms),
            max_body: route.max_body_bytes,
            withheld: withheld::compile(self.document, route),
            request_headers: HeaderChanges { dropped, lines },
            response: Policy::compile(route).without(self.load_header(service)),
            error_pages: self.error_pages(route),
            metrics: self.lasting.metrics.route(&route.name, service),
            concurrency: self.concurrency(service),
            trace_share: route.trace_sample.map(Share::of),
            hedge: route.hedge.as_ref().map(|hedge| Box::new(retries::compile_hedge(hedge))),
            cross_site: route.cross_site.as_ref().map(CrossSite::compile),
            recording: self.recording.of_route(route.recording.as_ref())?,
            retry: route.retry.as_ref().map(|retry| Box::new(retries::compile(retry))),
        })
    }

    /// A route may have rules without asking who calls.
    fn auth(
        &self,
        route: &RouteDocument,
        (common, first_rule): (&authorize::Common, u32),
    ) -> Result<(Option<AuthPolicy>, authorize::Policy), String> {
        let Some(auth) = &route.auth else { return Ok((None, authorize::Policy::default())) };
        let parameters = parameters(&route.matching.path);
        let ground = Ground { route: &route.name, parameters: &parameters };
        let policy = authorize::Policy::compile(auth, common, ground, first_rule)?;
        let asks = !(auth.accept.is_empty() && auth.optional);
        let identify = asks.then(|| AuthPolicy::compile(auth, self.identities)).transpose()?;
        Ok((identify, policy))
    }

    fn screen(&self, route: &RouteDocument) -> Result<Option<Box<Screen>>, String> {
        let screen = route.screen.as_ref().map(|screen| Screen::compile(screen, self.grounds));
        Ok(screen.transpose()?.map(Box::new))
    }

    fn concurrency(&self, service: &str) -> Option<Arc<Concurrency>> {
        let adapts = self.document.overload.as_ref().is_some_and(|overload| overload.concurrency.is_some());
        (adapts && !service.is_empty()).then(|| self.lasting.concurrencies.get(service))
    }

    /// Reports of load are for the gateway alone.
    fn load_header(&self, service: &str) -> Option<&str> {
        let service = self.document.services.iter().find(|known| known.name == service)?;
        Some(service.circuit_breaker.as_ref()?.load.as_ref()?.header.as_str())
    }

    fn error_pages(&self, route: &RouteDocument) -> Arc<Pages> {
        route.error_pages.as_ref().map_or_else(|| Arc::clone(self.error_pages), Pages::compile)
    }

    fn action(&self, route: &RouteDocument) -> Result<Action, String> {
        Ok(match &route.action {
            ActionDocument::Proxy(proxy) => Action::Proxy(self.proxy(route, proxy)?),
            ActionDocument::Redirect { status, to } => {
                let withheld = withheld::names(withheld::parameters(&self.document.identities));
                let bound = bound(&route.matching.path).map(|bound| Bound { withheld, ..bound });
                let location = bound.and_then(|bound| Location::compile(to, &bound));
                let located = |error| format!("{}: route `{}`: {error}", route.at, route.name);
                Action::Answer(Fixed::redirect(*status, location.map_err(located)?))
            }
            ActionDocument::Respond { status, headers, body } => {
                let lines =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
                Action::Answer(Fixed {
                    status: *status,
                    lines: lines.into_bytes(),
                    body: body.clone().into_bytes(),
                    location: None,
                })
            }
            ActionDocument::Files(files) => Action::Files(Arc::new(Files::compile(files))),
            ActionDocument::Health {} => Action::Answer(Fixed::health()),
            ActionDocument::Login { identity } => {
                let login = self.identities.login_named(identity);
                let missing = || format!("{}: nobody logs in with identity `{identity}`", route.at);
                Action::Login(Arc::clone(login.ok_or_else(missing)?))
            }
        })
    }

    fn proxy(&self, route: &RouteDocument, proxy: &ProxyDocument) -> Result<Proxy, String> {
        let service = self.document.services.iter().position(|service| service.name == proxy.service);
        let service = service.ok_or_else(|| format!("{}: unknown service `{}`", route.at, proxy.service))?;
        let forwarding = Forwarding::compile(proxy, canonical);
        Ok(Proxy {
            service: service as u32,
            forwarding: forwarding.map_err(|error| format!("{}: {error}", route.at))?,
            breaker: self.breaker(service, route, proxy)?,
            host: proxy.host,
            websocket: proxy.websocket.as_ref().map(|document| {
                websocket::Settings::compile(document, self.lasting.websockets.get(&route.name))
            }),
        })
    }

    fn breaker(
        &self,
        service: usize,
        route: &RouteDocument,
        proxy: &ProxyDocument,
    ) -> Result<BreakerUse, String> {
        let owners = self.document.services.get(service).map(|service| service.own_breakers.as_slice());
        match proxy.circuit_breaker {
            BreakerUseDocument::None => Ok(BreakerUse::None),
            BreakerUseDocument::Shared => Ok(BreakerUse::Shared),
            BreakerUseDocument::Tenant => Ok(BreakerUse::Tenant),
            BreakerUseDocument::Own => {
                let place = owners.unwrap_or_default().iter().position(|owner| *owner == route.name);
                let place =
                    place.ok_or_else(|| format!("{}: its service keeps no breaker for it", route.at))?;
                Ok(BreakerUse::Own(place as u32))
            }
        }
    }
}

/// What the policies of all routes have in common.
fn common(document: &SnapshotDocument) -> Result<authorize::Common, String> {
    let identities = document.identities.iter().map(|identity| identity.name.as_str().into()).collect();
    Ok(authorize::Common {
        permissions: Permissions::compile(&document.permissions, canonical)?,
        rules: RuleSettings { identities, max_steps: document.node.max_rule_steps },
    })
}

/// The names that a path binds, in order.
fn parameters(path: &PathMatchDocument) -> Vec<String> {
    let (PathMatchDocument::Pattern(text) | PathMatchDocument::Prefix(text)) = path else {
        return Vec::new();
    };
    let name = |part: &str| part.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
    text.split('/').filter_map(name).collect()
}

/// What a redirect may put into its target: requests have one canonical path, so a name is a number of its segment.
fn bound(path: &PathMatchDocument) -> Result<Bound, String> {
    let (text, is_prefix) = match path {
        PathMatchDocument::Exact(_) => return Ok(Bound::default()),
        PathMatchDocument::Regex(text) => {
            return Ok(Bound { expression: Some(route::whole(text)?), ..Bound::default() });
        }
        PathMatchDocument::Pattern(text) => (text.as_str(), false),
        PathMatchDocument::Prefix(text) => (text.trim_end_matches('/'), true),
    };
    let parts = || text.split('/').skip(1);
    let name = |part: &str| part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map(str::to_owned);
    let segments = (0..).zip(parts()).filter_map(|(number, part)| Some((name(part)?, number))).collect();
    Ok(Bound { segments, above: is_prefix.then(|| parts().count()), ..Bound::default() })
}

/// Literal paths of the configuration take the same form as those of requests.
pub(super) fn canonical(path: &str) -> Result<String, String> {
    let mut out = Vec::new();
    intake::canonical_path(path.as_bytes(), PathParameters::Keep, &mut out)
        .map_err(|malformed| format!("`{path}`: {}", malformed.text()))?;
    String::from_utf8(out).map_err(|error| error.to_string())
}
