//! `decide` for people: what a snapshot would do with requests, with fresh counters, sending nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::authenticate::TokenCache;
use crate::engine::EngineError;
use crate::intake;
use crate::limit::Counters;
use crate::node::{Node, Options};
use crate::pipeline::account::Account;
use crate::pipeline::forward::forwarded_path;
use crate::pipeline::{Facts, Next, State, decide as decide_request, preflight, redirection};
use crate::record::Names;
use crate::refusal::Refusal;
use crate::request::{Request, Scheme};
use crate::shed::Load;
use crate::snapshot::document::RequestDocument;
use crate::snapshot::{Listener, Snapshot};
use crate::trail::{Input, Step};

/// Requests come and verdicts go as JSON lists; the shapes are those of `_engine.pyi`.
pub fn decide(snapshot: &[u8], keys: &[u8], requests: &[u8]) -> Result<Vec<u8>, EngineError> {
    let node = Node::new(Options { workers: 1, identity_timeout_ms: 0 });
    let keys: BTreeMap<String, Value> =
        serde_json::from_slice(keys).map_err(|error| EngineError::Snapshot(format!("keys: {error}")))?;
    for (identity, document) in keys {
        node.keys.set(&identity, document.to_string().as_bytes()).map_err(EngineError::Snapshot)?;
    }
    let snapshot = node.compile(snapshot).map_err(EngineError::Snapshot)?;
    snapshot.services.assume_healthy();
    let requests: Vec<RequestDocument> = serde_json::from_slice(requests)
        .map_err(|error| EngineError::Snapshot(format!("requests: {error}")))?;
    let mut desk = Desk::new(&snapshot);
    let verdicts: Vec<Value> = requests.iter().map(|request| desk.verdict(request)).collect();
    Ok(Value::from(verdicts).to_string().into_bytes())
}

/// One sitting: requests decided after each other count against the same limits.
struct Desk<'s> {
    snapshot: &'s Snapshot,
    counters: Counters,
    tokens: TokenCache,
}

impl<'s> Desk<'s> {
    fn new(snapshot: &'s Snapshot) -> Self {
        let counters = Counters::new(snapshot.limits.max_keys as usize);
        counters.set_max_waiting(snapshot.limits.max_waiting);
        Self { snapshot, counters, tokens: TokenCache::new(64) }
    }

    fn verdict(&mut self, document: &RequestDocument) -> Value {
        let mut request = Request::new(document.peer);
        let mut account = Account::default();
        let mut verdict = Map::new();
        if let Err(refusal) = self.judge(document, &mut request, &mut account, &mut verdict) {
            account.refused(&refusal);
            verdict.insert("action".to_owned(), json!("refuse"));
            verdict.insert("status".to_owned(), json!(refusal.status()));
            verdict.insert("error".to_owned(), json!(refusal.code()));
            verdict.insert("message".to_owned(), json!(crate::respond::messages::message(&refusal)));
        }
        verdict.insert("method".to_owned(), json!(request.method()));
        verdict.insert("path".to_owned(), json!(request.path()));
        self.describe(&account, &mut verdict);
        Value::Object(verdict)
    }

    fn judge(
        &mut self,
        document: &RequestDocument,
        request: &mut Request,
        account: &mut Account,
        verdict: &mut Map<String, Value>,
    ) -> Result<(), Refusal> {
        let listener = self.read(document, request)?;
        if let Some(redirect) = redirection(listener, request) {
            let status = redirect?.status;
            account.redirected();
            verdict.insert("action".to_owned(), json!("answer"));
            verdict.insert("status".to_owned(), json!(status));
            return Ok(());
        }
        if let Some(route) = preflight(self.snapshot, request, document.now_ms) {
            account.routed(self.snapshot, route)?;
            verdict.insert("action".to_owned(), json!("answer"));
            verdict.insert("status".to_owned(), json!(204));
            return Ok(());
        }
        // The same request at the same time gets the same explanation, even where the live path leaves it to chance.
        let facts = Facts { now: Instant::now(), unix_ms: document.now_ms, random: document.now_ms };
        let load = Arc::new(stated(self.snapshot, document));
        let mut state =
            State { counters: &self.counters, tokens: &mut self.tokens, load: &load, renewed: None };
        let next = decide_request(self.snapshot, request, facts, &mut state, account)?;
        match next {
            // `decide` waits for nothing.
            Next::Ask(_) | Next::Wait(_) => return Err(Refusal::Internal),
            Next::Answer(fixed) => {
                verdict.insert("action".to_owned(), json!("answer"));
                verdict.insert("status".to_owned(), json!(fixed.status));
            }
            // Which file there is, nobody looks for here.
            Next::File(_) => {
                verdict.insert("action".to_owned(), json!("file"));
            }
            Next::Login(_) => {
                verdict.insert("action".to_owned(), json!("login"));
            }
            Next::Forward(proxy) => {
                let mut path = Vec::new();
                forwarded_path(proxy, request, &mut path)?;
                verdict.insert("action".to_owned(), json!("proxy"));
                verdict.insert("instance".to_owned(), json!(account.instance_name()));
                verdict.insert("forward_path".to_owned(), json!(String::from_utf8_lossy(&path)));
            }
        }
        Ok(())
    }

    fn read(&self, document: &RequestDocument, request: &mut Request) -> Result<&'s Listener, Refusal> {
        let named = document.listener.as_deref().and_then(|name| self.snapshot.listener(name));
        let listener = named.or(self.snapshot.listeners.first()).ok_or(Refusal::Internal)?;
        let scheme = if listener.tls.is_some() { Scheme::Https } else { Scheme::Http };
        intake::from_document(document, &listener.limits(scheme), request)?;
        Ok(listener)
    }

    fn describe(&self, account: &Account, verdict: &mut Map<String, Value>) {
        let route = account.route(self.snapshot);
        let service = account.service().and_then(|index| self.snapshot.service_entries.get(index as usize));
        let caller = account.caller();
        verdict.insert("route".to_owned(), json!(route.map(|route| &*route.named.name)));
        verdict.insert("service".to_owned(), json!(service.map(|service| &*service.named.name)));
        verdict.insert("user_id".to_owned(), json!(caller.and_then(|caller| caller.user.as_deref())));
        verdict.insert("partner_id".to_owned(), json!(caller.and_then(|caller| caller.partner.as_deref())));
        verdict.insert("tenant_id".to_owned(), json!(account.tenant().map(|tenant| &*tenant.name)));
        verdict.insert("scopes".to_owned(), json!(caller.map_or("", |caller| &*caller.scopes_text)));
        let decisions: Vec<Value> = account.trail.steps().iter().map(|step| self.decision(step)).collect();
        verdict.insert("decisions".to_owned(), Value::from(decisions));
        for key in ["status", "error", "instance", "forward_path"] {
            verdict.entry(key).or_insert(Value::Null);
        }
    }

    fn decision(&self, step: &Step) -> Value {
        let rule = self.snapshot.rule(step.rule);
        let inputs: Map<String, Value> =
            step.inputs.iter().map(|(name, input)| ((*name).to_owned(), value(input))).collect();
        json!({
            "stage": step.stage.text(),
            "verdict": step.verdict,
            "rule": rule.map(|(name, _)| name),
            "at": rule.map(|(_, at)| at),
            "inputs": inputs,
        })
    }
}

/// The load that the request is said to come upon.
fn stated(snapshot: &Snapshot, document: &RequestDocument) -> Load {
    let (cpu, memory) = (document.cpu_percent.unwrap_or(0), document.memory_percent.unwrap_or(0));
    Load::stated(snapshot.overload.pressure_at(cpu, memory), document.in_flight.unwrap_or(0))
}

fn value(input: &Input) -> Value {
    match input {
        Input::Number(number) => json!(number),
        Input::Static(text) => json!(text),
        Input::Text(text) => json!(text),
    }
}
