//! The paths of a login: to the provider, back from it, and out. Only here, and where a session has to be refreshed, a
//! browser waits for Python; everybody else's requests go on meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::authenticate::Renewed;
use crate::authorize;
use crate::exchange::Exchange;
use crate::pipeline::account::{Account, Visit};
use crate::pipeline::delivery;
use crate::pipeline::end::End;
use crate::pipeline::watch::Watch;
use crate::pipeline::{Local, login_call};
use crate::questions::{Patience, Question, Reply, Told};
use crate::record::LoginEvent;
use crate::refusal::{BrowserRefusal, LoginFault, Refusal, Unjudged};
use crate::request::{Method, Request};
use crate::session::{Handoff, Login, Pending, Session, Tokens, is_local, parameter};
use crate::snapshot::document::{
    GrantedDocument, LoginFailureDocument, RevocationDocument, RevokedKindDocument,
};
use crate::trail::{Awaited, Cause, Inputs, Rule, Stage, Trail};
use crate::worker::Worker;

/// Answers a request for one of the paths of a login.
pub async fn serve<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    login: &Login,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    let desk = Desk { worker, visit, request, login };
    let handoff = match login.place(request) {
        "/login" => desk.start()?,
        "/callback" => desk.come_back((&mut *exchange, &mut *local)).await?,
        "/logout" => desk.leave(local).await?,
        "/backchannel" => {
            let token = login_call::read(visit, request, login, (&mut *exchange, &mut *local)).await?;
            desk.be_told(token, &mut local.account.trail).await?;
            return delivery::told(worker, visit, request, (exchange, local)).await;
        }
        _ => return Err(Refusal::NoRoute.into()),
    };
    delivery::handoff(worker, visit, request, &handoff, (exchange, local)).await
}

/// Where a browser that has to log in is sent, and its cookie in the account. `None` where nothing is known of the provider.
pub fn begin(visit: &Visit, request: &Request, identity: u32, local: &mut Local) -> Option<String> {
    let login = visit.snapshot.identities.login(identity)?;
    let path = match request.query {
        None => request.path().to_owned(),
        Some(query) => format!("{}?{}", request.path(), request.str(query)),
    };
    let Handoff { location, lines, .. } = login.begin(request, &path, visit.facts.unix_ms)?;
    local.account.cookies.extend_from_slice(&lines);
    Some(location)
}

/// Lets a browser's cookie say that its session was seen just now, where that is due.
pub fn mark(visit: &Visit, account: &mut Account) {
    let Some(caller) = account.caller() else { return };
    let Some(session) = caller.ambient.as_ref().and_then(|ambient| ambient.marked.as_ref()) else { return };
    let login = caller.identity.and_then(|identity| visit.snapshot.identities.login(identity));
    if let Some(lines) = login.and_then(|login| login.mark(session, visit.facts.unix_ms)) {
        account.cookies = lines;
    }
}

/// Asks the provider to go on with the session of a request. What it says is for the next decision; the cookies go into the
/// answer.
pub async fn refresh(worker: &Worker, visit: &Visit, request: &Request, identity: u32) -> Option<Refreshed> {
    let login = visit.snapshot.identities.login(identity)?;
    let session = login.jar.session(request).find_map(|sealed| login.open(sealed))?;
    Some(Desk { worker, visit, request, login }.refresh(&session).await)
}

/// What came of that.
pub struct Refreshed {
    pub renewed: Renewed,
    pub cookies: Vec<u8>,
}

impl From<Renewed> for Refreshed {
    fn from(renewed: Renewed) -> Self {
        Self { renewed, cookies: Vec::new() }
    }
}

/// What a step of a login waits for.
pub(super) fn waiting(login: &Login, awaited: Awaited) -> Cause {
    Cause { stage: Stage::Authenticate, rule: Rule::Identity(login.identity), awaited }
}

/// One browser and its provider.
struct Desk<'a> {
    worker: &'a Worker,
    visit: &'a Visit,
    request: &'a Request,
    login: &'a Login,
}

impl Desk<'_> {
    fn now_ms(&self) -> u64 {
        self.visit.facts.unix_ms
    }

    fn count(&self, event: LoginEvent) {
        self.worker.counts().logins.count(event);
    }

    /// `allow`: the methods, as they are told where none of them was used.
    fn demand(&self, methods: &[Method], allow: &'static str) -> Result<(), Refusal> {
        if methods.contains(&self.request.method) {
            return Ok(());
        }
        Err(Refusal::MethodNotAllowed { allow: allow.into() })
    }

    fn unjudged(&self, cause: Unjudged) -> Refusal {
        Refusal::AuthenticationUnavailable { identity: self.login.identity, cause }
    }

    fn failed(&self, fault: LoginFault) -> Refusal {
        self.count(LoginEvent::Failed);
        Refusal::Browser(BrowserRefusal::LoginFailed { identity: self.login.identity, fault })
    }

    /// A link to log in: back to `return_to` then, where that is a path of this host.
    fn start(&self) -> Result<Handoff, Refusal> {
        self.demand(&[Method::Get], "GET")?;
        let wanted = parameter(self.request.query(), "return_to").filter(|path| is_local(path));
        let path = wanted.as_deref().unwrap_or("/");
        let handoff = self.login.begin(self.request, path, self.now_ms());
        self.count(LoginEvent::Started);
        handoff.ok_or_else(|| self.unjudged(Unjudged::NoProvider))
    }

    async fn come_back<E: Exchange>(&self, (exchange, local): (&mut E, &mut Local)) -> Result<Handoff, End> {
        self.demand(&[Method::Get], "GET")?;
        let query = self.request.query();
        let pending = parameter(query, "state")
            .and_then(|state| self.login.pending(self.request, &state, self.now_ms()))
            .ok_or_else(|| self.failed(LoginFault::UnknownState))?;
        let granted = match self.exchange(query, &pending, (exchange, &mut local.account.trail)).await {
            // The provider could not be asked: the same address may be called again.
            Err(end @ End::Refused(Refusal::AuthenticationUnavailable { .. })) => return Err(end),
            decided => {
                self.login.jar.forget_login(&pending.state, &mut local.account.cookies);
                decided?
            }
        };
        let session = self.login.session(&granted, self.now_ms()).ok_or(Refusal::Internal)?;
        let tokens = Tokens { refresh: granted.refresh_token.clone(), id: granted.id_token.clone() };
        let lines =
            self.login.keep(self.request, &session, &tokens, self.now_ms()).ok_or(Refusal::Internal)?;
        self.count(LoginEvent::Completed);
        local.account.logged_in(self.login.identity, &session.named.user);
        Ok(Handoff { location: pending.path, lines, by_page: self.login.needs_page() })
    }

    async fn exchange<E: Exchange>(
        &self,
        query: &str,
        pending: &Pending,
        (exchange, trail): (&mut E, &mut Trail),
    ) -> Result<Arc<GrantedDocument>, End> {
        if parameter(query, "error").is_some() {
            return Err(self.failed(LoginFault::Denied).into());
        }
        let code = parameter(query, "code").filter(|code| !code.is_empty());
        let question = Question::ExchangeCode {
            identity: self.login.name.to_string(),
            code: code.ok_or_else(|| self.failed(LoginFault::NoCode))?,
            verifier: pending.verifier.clone(),
            nonce: pending.nonce.clone(),
            redirect_uri: self.login.callback(self.request),
            issuer: parameter(query, "iss"),
        };
        // Nobody but this browser could use what is granted.
        let told = self.watch(trail).with(exchange, pin!(self.consult(question))).await?;
        let refusal = match told.map_err(|cause| self.unjudged(cause))? {
            Told::Granted(granted) if granted.named.is_some() => return Ok(granted),
            Told::Granted(_) | Told::Yes => self.failed(LoginFault::BadToken),
            Told::Refused(LoginFailureDocument::Refused) => self.failed(LoginFault::RefusedCode),
            Told::Refused(LoginFailureDocument::Token) => self.failed(LoginFault::BadToken),
            Told::Refused(LoginFailureDocument::User) => self.failed(LoginFault::NoName),
            Told::No => self.unjudged(Unjudged::ProviderSilent),
        };
        Err(refusal.into())
    }

    fn watch<'t>(&self, trail: &'t mut Trail) -> Watch<'t> {
        let cause = waiting(self.login, Awaited::Provider);
        Watch::new(trail, self.visit.began, cause).since(Instant::now())
    }

    /// For what is done, and told of in the record, whether the client stays or not.
    async fn ask(&self, question: Question, trail: &mut Trail) -> Result<Told, Unjudged> {
        self.watch(trail).over(pin!(self.consult(question))).await.0
    }

    async fn consult(&self, question: Question) -> Result<Told, Unjudged> {
        let deadline = Duration::from_millis(self.login.timeout_ms);
        let patience = Patience { deadline, open: self.login.max_pending as usize };
        self.worker.node.questions.consult(question, patience).await.map_err(|reply| match reply {
            Reply::Late => Unjudged::ProviderLate,
            Reply::Full => Unjudged::TooManyLogins,
            Reply::Yes | Reply::No => Unjudged::ProviderSilent,
        })
    }

    async fn refresh(&self, session: &Session) -> Refreshed {
        let tokens = self.login.tokens(self.request, session).unwrap_or_default();
        let Some(refresh_token) = tokens.refresh.clone() else {
            // Too long for cookies, or lost: the session lasts as long as what was granted.
            return Renewed::Unasked(Unjudged::ProviderSilent).into();
        };
        let question = Question::RefreshSession {
            identity: self.login.name.to_string(),
            session: session.id.clone(),
            subject: session.subject().to_owned(),
            refresh_token,
        };
        match self.consult(question).await {
            Ok(Told::Granted(granted)) => self.go_on(session, &granted, tokens),
            Ok(Told::Refused(_)) => self.over(),
            Ok(Told::No | Told::Yes) => self.unasked(Unjudged::ProviderSilent),
            Err(cause) => self.unasked(cause),
        }
    }

    fn go_on(&self, session: &Session, granted: &GrantedDocument, before: Tokens) -> Refreshed {
        let session = session.refreshed(granted, self.now_ms());
        let id = granted.id_token.clone().or(before.id);
        let tokens = Tokens { refresh: granted.refresh_token.clone(), id };
        let cookies = self.login.keep(self.request, &session, &tokens, self.now_ms());
        self.count(LoginEvent::Refreshed);
        Refreshed { renewed: Renewed::Session(Arc::new(session)), cookies: cookies.unwrap_or_default() }
    }

    fn over(&self) -> Refreshed {
        let mut cookies = Vec::new();
        self.login.jar.forget_session(self.request, &mut cookies);
        self.count(LoginEvent::RefreshRefused);
        Refreshed { renewed: Renewed::Ended, cookies }
    }

    fn unasked(&self, cause: Unjudged) -> Refreshed {
        self.count(LoginEvent::RefreshFailed);
        Renewed::Unasked(cause).into()
    }

    /// Out, here and at the provider. The session ends whether or not anybody can be told.
    async fn leave(&self, local: &mut Local) -> Result<Handoff, Refusal> {
        self.demand(&[Method::Get, Method::Post], "GET, POST")?;
        authorize::may_log_out(self.request)?;
        let session = self.login.jar.session(self.request).find_map(|sealed| self.login.open(sealed));
        let tokens = session.as_ref().and_then(|session| self.login.tokens(self.request, session));
        let mut lines = Vec::new();
        self.login.jar.forget_session(self.request, &mut lines);
        let Some(session) = session else {
            return Ok(Handoff { location: self.login.farewell(self.request, None), lines, by_page: false });
        };
        self.revoke(&session);
        let question = Question::EndSession {
            identity: self.login.name.to_string(),
            session: session.id.clone(),
            until_ms: self.login.end_of(&session),
            refresh_token: tokens.as_ref().and_then(|tokens| tokens.refresh.clone()),
        };
        let told = self.ask(question, &mut local.account.trail).await;
        self.count(if told.is_ok() { LoginEvent::LoggedOut } else { LoginEvent::LogoutUntold });
        local.account.logged_out(self.login.identity, &session.named.user);
        let location = self.login.farewell(self.request, tokens.as_ref());
        Ok(Handoff { location, lines, by_page: false })
    }

    /// On this node, from the next request on. Python tells the others, and remembers it.
    fn revoke(&self, session: &Session) {
        let until_ms = i64::try_from(self.login.end_of(session)).unwrap_or(i64::MAX);
        let entry = RevocationDocument {
            kind: RevokedKindDocument::Token,
            identity: Some(self.login.name.to_string()),
            value: Some(session.id.clone()),
            issued_before_ms: i64::MAX,
            until_ms,
        };
        let now_ms = i64::try_from(self.now_ms()).unwrap_or(i64::MAX);
        // Where there is no room, more than this session is revoked; see `Revocations::revoke`.
        let _ = self.worker.node.keys.revocations().revoke(&[entry], false, now_ms);
    }

    /// The provider says that a session has ended.
    async fn be_told(&self, token: String, trail: &mut Trail) -> Result<(), Refusal> {
        if token.is_empty() {
            return Err(self.failed(LoginFault::BadToken));
        }
        let identity = self.login.name.to_string();
        let question = Question::CheckLogout { identity, token, lifetime_ms: self.login.lifetime_ms() };
        match self.ask(question, trail).await.map_err(|cause| self.unjudged(cause))? {
            Told::Yes | Told::Granted(_) => {
                self.count(LoginEvent::LoggedOut);
                Ok(())
            }
            Told::Refused(_) => Err(self.failed(LoginFault::BadToken)),
            Told::No => Err(self.unjudged(Unjudged::ProviderSilent)),
        }
    }
}

impl Account {
    /// A browser is back from its provider.
    fn logged_in(&mut self, identity: u32, user: &str) {
        self.is_notable = true;
        let inputs = Inputs::none().text("user", user);
        self.trail.push(Stage::Authenticate, "logged_in", Rule::Identity(identity), inputs);
    }

    fn logged_out(&mut self, identity: u32, user: &str) {
        self.is_notable = true;
        let inputs = Inputs::none().text("user", user);
        self.trail.push(Stage::Authenticate, "logged_out", Rule::Identity(identity), inputs);
    }
}
