//! What the stages are given, and what they give.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::authenticate::{Renewed, TokenCache};
use crate::authorize::Grant;
use crate::balance::{Ask, BreakerUse, Target};
use crate::http1::response_head::ResponseHead;
use crate::io::timer::Timer;
use crate::limit::{Counters, Permit};
use crate::pipeline::account::Account;
use crate::request::Request;
use crate::respond::answer::Fixed;
use crate::respond::files::Files;
use crate::session::Login;
use crate::shed::{Admission, Load};
use crate::snapshot::{Proxy, Route};
use crate::websocket::handshake::Handshake;
use crate::websocket::places::Place;
use crate::worker::Leave;

/// An idle connection keeps at most this much memory for heads and bodies that go to services.
const KEPT: usize = 4 * 1024;

/// Time and chance of a decision; taken once, before it.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub now: Instant,
    pub unix_ms: u64,
    /// Whatever is left to chance follows from this number.
    pub random: u64,
}

impl Facts {
    pub fn ask<'a>(&self, request: &'a Request, grant: &'a Grant, breaker: BreakerUse) -> Ask<'a> {
        let tenant = grant.tenant().map(|tenant| &*tenant.label);
        let caller = grant.caller();
        Ask { request, caller, tenant, breaker, now: self.now, random: self.random, tried: &[] }
    }
}

/// What decisions count in. `explain` brings its own, fresh ones.
pub struct State<'a> {
    pub counters: &'a Counters,
    pub tokens: &'a mut TokenCache,
    pub load: &'a Arc<Load>,
    /// What the provider of the request's session has said, where it was asked.
    pub renewed: Option<&'a Renewed>,
}

/// A request that may go on, and where its route leads.
pub struct Admitted<'s> {
    pub route: &'s Route,
    pub permit: Permit,
    pub admission: Admission,
}

/// What is to be done with a request that nobody refused. What it holds meanwhile, the account has: both are handed on
/// many times, and this stays small.
pub enum Next<'s> {
    /// The store of shared limits has to be asked before the rest is decided.
    Ask(Box<Admitted<'s>>),
    /// It has to wait for its turn before the rest is decided.
    Wait(Box<Admitted<'s>>),
    Answer(&'s Fixed),
    File(&'s Arc<Files>),
    Login(&'s Arc<Login>),
    Forward(&'s Proxy),
}

/// What a request holds while it is answered, proved by every stage before.
pub struct Held {
    pub permit: Permit,
    /// `None` once it is no request in flight any more.
    pub admission: Option<Admission>,
    /// `None` where it goes to no service, and once the outcome was told.
    pub target: Option<Target>,
    pub socket: Option<Box<Socket>>,
}

/// A request for a WebSocket: what proves the service's consent, and the place that it has on its route.
pub struct Socket {
    pub handshake: Handshake,
    pub place: Place,
}

/// Memory of a connection that its requests use one after the other.
pub struct Local {
    pub account: Account,
    pub timer: Timer,
    pub response: ResponseHead,
    pub outgoing: Vec<u8>,
    pub body: Vec<u8>,
    pub path: Vec<u8>,
    /// Heard while the connection is a WebSocket.
    pub leave: Rc<Leave>,
}

impl Local {
    pub fn new(now: Instant) -> Self {
        Self {
            account: Account::default(),
            timer: Timer::new(now),
            response: ResponseHead::default(),
            outgoing: Vec::new(),
            body: Vec::new(),
            path: Vec::new(),
            leave: Rc::default(),
        }
    }

    /// Gives memory of a long request back before the connection idles.
    pub fn rest(&mut self) {
        for memory in [&mut self.outgoing, &mut self.body] {
            if memory.capacity() > KEPT {
                *memory = Vec::new();
            }
        }
    }
}
