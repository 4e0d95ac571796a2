//! Why a refusal happened, for the record: which stage, which rule, which inputs. The client is told less.

use crate::refusal::{
    Barrier, BrowserRefusal, CredentialFault, Forbidden, Interruption, LimitState, Refusal, Ruling, Shortage,
    Unavailable, Unjudged,
};
use crate::respond::messages::message;
use crate::trail::{Inputs, Rule, Stage};

pub struct Explanation {
    pub stage: Stage,
    pub rule: Rule,
    pub inputs: Inputs,
    /// `error_type` of the record.
    pub error_type: &'static str,
    /// `error_message` of the record.
    pub message: String,
}

/// `service` and `route` are those that the request had reached.
pub fn of(refusal: &Refusal, service: Option<u32>, route: Option<u32>) -> Explanation {
    let route = route.map_or(Rule::None, Rule::Route);
    let service = service.map_or(Rule::None, Rule::Service);
    let none = Inputs::none;
    let (stage, rule, inputs) = match refusal {
        Refusal::Malformed(fault) => (Stage::Intake, Rule::None, none().fixed("reason", fault.text())),
        Refusal::Slow(part) => (Stage::Intake, Rule::None, none().fixed("part", part)),
        Refusal::BodyTooLarge { limit } => (Stage::Intake, route, none().number("limit", *limit)),
        Refusal::UriTooLong { limit } | Refusal::HeadersTooLarge { limit } => {
            (Stage::Intake, Rule::None, none().number("limit", *limit))
        }
        Refusal::Misdirected => (Stage::Intake, Rule::None, none().fixed("reason", "certificate")),
        Refusal::NoRoute => (Stage::Route, Rule::None, none()),
        Refusal::Gone => (Stage::Route, route, none()),
        Refusal::MethodNotAllowed { allow } => (Stage::Route, Rule::None, none().text("allow", allow)),
        Refusal::Overloaded { shortage, .. } => (Stage::Shed, route, shed(*shortage)),
        Refusal::Unauthenticated { identity, fault, .. } => unproved(*identity, route, *fault),
        Refusal::AuthenticationUnavailable { identity, cause } => unjudged(*identity, *cause),
        Refusal::Browser(why) => browser(*why, route),
        Refusal::Forbidden(forbidden) => self::forbidden(forbidden, route),
        Refusal::AddressNotAllowed(barrier) => barred(*barrier, route),
        Refusal::ChallengeRequired { score, .. } => challenged(*score, route),
        Refusal::Tenant { said, .. } => (Stage::Authorize, route, tenant(said)),
        Refusal::OverLimit(state) | Refusal::Banned(state) => over(state),
        Refusal::LimiterUnavailable(fault) => (Stage::Limit, route, none().fixed("reason", fault.text())),
        Refusal::ServiceUnavailable { cause, .. } => (Stage::Balance, service, unavailable(cause)),
        Refusal::BadGateway(fault) => (Stage::Proxy, service, none().fixed("fault", fault.text())),
        Refusal::UpstreamTimeout => (Stage::Proxy, route, none().fixed("fault", "upstream_timeout")),
        Refusal::BadHandshake(fault) => (Stage::Proxy, route, none().fixed("reason", fault.text())),
        Refusal::UnknownProtocol => (Stage::Intake, Rule::None, none()),
        Refusal::WebSocketVersion => (Stage::Proxy, route, none()),
        Refusal::TooManyWebSockets { limit } | Refusal::WebSocketsFull { limit } => {
            (Stage::Limit, route, none().number("limit", u64::from(*limit)))
        }
        Refusal::NoFile | Refusal::PreconditionFailed => (Stage::Respond, route, none()),
        Refusal::RangeNotSatisfiable { length } => (Stage::Respond, route, none().number("length", *length)),
        Refusal::DeadlineExceeded => (Stage::Proxy, Rule::None, none().fixed("fault", "deadline_exceeded")),
        Refusal::Internal => (Stage::Respond, Rule::None, none()),
    };
    let message = message(refusal).into_owned();
    Explanation { stage, rule, inputs, error_type: error_type(refusal), message }
}

fn tenant(said: &str) -> Inputs {
    if said.is_empty() { Inputs::none() } else { Inputs::none().text("tenant", said) }
}

fn because(reason: &'static str) -> Inputs {
    Inputs::none().fixed("reason", reason)
}

fn browser(why: BrowserRefusal, route: Rule) -> (Stage, Rule, Inputs) {
    match why {
        BrowserRefusal::LoginRequired { identity } => {
            (Stage::Authenticate, Rule::Identity(identity), Inputs::none())
        }
        BrowserRefusal::LoginFailed { identity, fault } => {
            (Stage::Authenticate, Rule::Identity(identity), because(fault.text()))
        }
        BrowserRefusal::CrossSite(fault) => (Stage::Authorize, route, because(fault.text())),
    }
}

fn unproved(identity: Option<u32>, route: Rule, fault: CredentialFault) -> (Stage, Rule, Inputs) {
    let rule = identity.map_or(route, Rule::Identity);
    (Stage::Authenticate, rule, Inputs::none().fixed("reason", fault.text()))
}

fn challenged(score: u8, route: Rule) -> (Stage, Rule, Inputs) {
    (Stage::Authorize, route, Inputs::none().fixed("reason", "challenge").number("score", score.into()))
}

fn barred(barrier: Barrier, route: Rule) -> (Stage, Rule, Inputs) {
    let inputs = Inputs::none().fixed("reason", barrier.text());
    match barrier {
        Barrier::Caller | Barrier::NotAllowed => (Stage::Authorize, route, inputs),
        Barrier::Blocked { network } => {
            (Stage::Authorize, Rule::None, inputs.text("network", &network.to_string()))
        }
        Barrier::Denied { list } => (Stage::Authorize, Rule::AddressList(list), inputs),
        Barrier::Country(None) => (Stage::Authorize, route, inputs.fixed("country", "unknown")),
        Barrier::Country(Some(country)) => (Stage::Authorize, route, inputs.text("country", country.text())),
        Barrier::Reputation { score } => (Stage::Authorize, route, inputs.number("score", score.into())),
    }
}

fn unjudged(identity: u32, cause: Unjudged) -> (Stage, Rule, Inputs) {
    (Stage::Authenticate, Rule::Identity(identity), Inputs::none().fixed("reason", cause.text()))
}

fn forbidden(forbidden: &Forbidden, route: Rule) -> (Stage, Rule, Inputs) {
    let (rule, inputs) = match forbidden {
        Forbidden::Plain { .. } => (route, Inputs::none().fixed("reason", "not over TLS")),
        Forbidden::Unqualified { lack, .. } => (route, Inputs::none().text(lack.input(), &lack.names)),
        Forbidden::Unpermitted { permission, by } => {
            (by.map_or(route, Rule::Permission), unpermitted(permission.as_deref(), by.is_some()))
        }
        Forbidden::Ruled { rule, ruling, .. } => (Rule::Condition(*rule), ruled(*ruling)),
    };
    (Stage::Authorize, rule, inputs)
}

/// What no permission allows has the route for a rule, and what one forbids has that one.
fn unpermitted(permission: Option<&str>, is_forbidden: bool) -> Inputs {
    let inputs = Inputs::none();
    let inputs = match permission {
        Some(name) => inputs.text("permission", name),
        None => inputs.fixed("permission", "the method and path"),
    };
    inputs.fixed("reason", if is_forbidden { "forbidden" } else { "not granted" })
}

fn ruled(ruling: Ruling) -> Inputs {
    let inputs = Inputs::none().fixed("reason", ruling.text());
    match ruling {
        Ruling::Failed(fault) => inputs.fixed("fault", fault.text()),
        Ruling::Denied | Ruling::NotAllowed => inputs,
    }
}

fn over(state: &LimitState) -> (Stage, Rule, Inputs) {
    let inputs = Inputs::none().number("limit", state.limit).number("retry_after", state.retry_after);
    let inputs = inputs.fixed("key", state.key.text());
    let inputs = match state.by.text() {
        Some(by) => inputs.fixed("counted_by", by),
        None => inputs,
    };
    (Stage::Limit, Rule::Tier(state.tier), inputs)
}

fn unavailable(cause: &Unavailable) -> Inputs {
    let inputs = Inputs::none().fixed("cause", cause.text());
    match cause {
        Unavailable::BreakerOpen(opened) => breaker(inputs, opened),
        Unavailable::BreakerRamp
        | Unavailable::NoHealthyInstance
        | Unavailable::NoInstance
        | Unavailable::PoolExhausted
        | Unavailable::TooManyPending
        | Unavailable::TooManyInFlight
        | Unavailable::TooManyPerSecond
        | Unavailable::NoDescriptor => inputs,
    }
}

/// What opened a breaker.
pub fn breaker(inputs: Inputs, opened: &Interruption) -> Inputs {
    let inputs = inputs
        .fixed("rule", opened.rule)
        .number("requests", opened.requests.into())
        .number("failures", opened.failures.into())
        .number("slow", opened.slow.into());
    // Of most services nothing is known about their load.
    if opened.loaded > 0 { inputs.number("loaded", opened.loaded.into()) } else { inputs }
}

fn shed(shortage: Shortage) -> Inputs {
    Inputs::none()
        .fixed("reason", shortage.reason.text())
        .number("value", shortage.value.into())
        .number("threshold", shortage.threshold.into())
        .number("resumes", shortage.resumes.into())
}

/// The fault of the service where there is one, else the code of the refusal.
fn error_type(refusal: &Refusal) -> &'static str {
    if let Refusal::BadGateway(fault) = refusal { fault.text() } else { refusal.code() }
}
