//! Rare look-ups that only Python can answer. One question at a time for the same thing; every asker has a deadline.

use std::collections::VecDeque;
use std::mem::discriminant;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::snapshot::document::{GrantedDocument, LoginFailureDocument};

/// Requests that may wait for one answer; a further one is told that there is none.
const MAX_WAITING: usize = 1_000;
/// Questions about key sets that may be open at once.
pub const MAX_REFRESHES: usize = 100;
/// How long a no to such a question holds for all who ask it next: names of keys are easily invented, and each would cost
/// Python more than its inventor.
const REFUSED_FOR: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Question {
    /// A token names a key that the identity's key set does not have (requirement AU-9).
    RefreshKeys { identity: String },
    /// An API key that nothing is known of yet (requirement AU-21). The key itself is not in here: it is named by its
    /// public prefix, its keyed hash (hexadecimal) and its SHA-256.
    LookUpKey { prefix: String, hash: String, digest: String },
    /// A browser is back from the provider with a code (RFC 6749 section 4.1.3). `issuer` is what it says of whom it has it.
    ExchangeCode {
        identity: String,
        code: String,
        verifier: String,
        nonce: String,
        redirect_uri: String,
        issuer: Option<String>,
    },
    /// What the provider granted for a session ends soon.
    RefreshSession { identity: String, session: String, subject: String, refresh_token: String },
    /// A session has ended before its time: to be remembered until `until_ms`, and told to the provider.
    EndSession { identity: String, session: String, until_ms: u64, refresh_token: Option<String> },
    /// The provider says that a session or a user has ended (OpenID Connect Back-Channel Logout).
    CheckLogout { identity: String, token: String, lifetime_ms: u64 },
    /// A token that only its issuer can judge (RFC 7662).
    Introspect {
        identity: String,
        token: Secret,
        /// Which issuer is meant: one that has taken its place knows nothing of the token.
        #[serde(skip)]
        issuer: String,
        /// What the answer is remembered under.
        #[serde(skip)]
        digest: [u8; 32],
    },
    /// Is this the password of the hash that Python has under this stamp? `None`: of nobody, which takes as long to find out.
    CheckPassword {
        /// What the outcome is remembered under.
        #[serde(skip)]
        proof: Option<[u8; 32]>,
        hash: Option<String>,
        password: Secret,
    },
}

/// What is written nowhere but where it is asked for.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("secret")
    }
}

impl Question {
    fn is_of_keys(&self) -> bool {
        match self {
            Self::RefreshKeys { .. } => true,
            Self::LookUpKey { .. }
            | Self::CheckPassword { .. }
            | Self::Introspect { .. }
            | Self::ExchangeCode { .. }
            | Self::RefreshSession { .. }
            | Self::EndSession { .. }
            | Self::CheckLogout { .. } => false,
        }
    }
}

/// How long an asker waits, and how many questions of the kind may be open at once.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub deadline: Duration,
    pub open: usize,
}

/// What an asker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Yes,
    No,
    Late,
    /// Too many questions are open, or too many requests wait for this one.
    Full,
}

/// What was found out.
#[derive(Clone, Debug)]
pub enum Told {
    Yes,
    No,
    /// What the provider has granted to a login or a session.
    Granted(Arc<GrantedDocument>),
    /// Why it grants nothing, however often it is asked.
    Refused(LoginFailureDocument),
}

impl Told {
    fn is_yes(&self) -> bool {
        match self {
            Self::Yes | Self::Granted(_) => true,
            Self::No | Self::Refused(_) => false,
        }
    }
}

#[derive(Serialize)]
struct Numbered<'a> {
    id: u64,
    #[serde(flatten)]
    question: &'a Question,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<Question, (u64, Vec<oneshot::Sender<Told>>)>,
    untaken: VecDeque<Question>,
    /// Questions about key sets that were lately answered with no, at most `MAX_REFRESHES`.
    refused: HashMap<Question, Instant>,
    closed: bool,
}

impl State {
    /// Forgets questions that nobody waits for any more.
    fn sweep(&mut self) {
        let Self { open, untaken, .. } = self;
        open.retain(|_, (_, waiting)| waiting.iter().any(|sender| !sender.is_closed()));
        untaken.retain(|question| open.contains_key(question));
    }

    fn refuse(&mut self, question: Question, now: Instant) {
        if self.refused.len() < MAX_REFRESHES {
            self.refused.insert(question, now);
        }
    }

    /// Has nobody asked this yet, and are as many of its kind open as may be? One kind never takes the places of
    /// another.
    fn is_full(&self, question: &Question, open: usize) -> bool {
        if self.open.len() < open || self.open.contains_key(question) {
            return false;
        }
        let kind = discriminant(question);
        self.open.keys().filter(|other| discriminant(*other) == kind).count() >= open
    }
}

/// What became of asking.
#[derive(Debug)]
enum Asked {
    Waits(oneshot::Receiver<Told>),
    /// Too many are open, or too many wait.
    Full,
}

/// Shared by all workers and by Python's thread.
#[derive(Debug, Default)]
pub struct Questions {
    state: Mutex<State>,
    arrived: Condvar,
}

impl Questions {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn ask(&self, question: Question, patience: Patience) -> Reply {
        if self.was_refused(&question, Instant::now()) {
            return Reply::No;
        }
        match self.consult(question, patience).await {
            Ok(told) if told.is_yes() => Reply::Yes,
            Ok(_) => Reply::No,
            Err(reply) => reply,
        }
    }

    /// The same for what is told in more than a word; `Late` or `Full` where nothing is.
    pub async fn consult(&self, question: Question, patience: Patience) -> Result<Told, Reply> {
        match self.enqueue(question, patience.open) {
            Asked::Full => Err(Reply::Full),
            Asked::Waits(answer) => match tokio::time::timeout(patience.deadline, answer).await {
                Ok(told) => Ok(told.unwrap_or(Told::No)),
                Err(_) => Err(Reply::Late),
            },
        }
    }

    fn was_refused(&self, question: &Question, now: Instant) -> bool {
        let mut state = self.lock();
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < REFUSED_FOR;
        let was_refused = state.refused.get(question).is_some_and(is_recent);
        if !was_refused && !state.refused.is_empty() {
            state.refused.retain(|_, at| is_recent(at));
        }
        was_refused
    }

    fn enqueue(&self, question: Question, most: usize) -> Asked {
        let mut state = self.lock();
        if state.is_full(&question, most) {
            state.sweep();
        }
        if state.closed || state.is_full(&question, most) {
            return Asked::Full;
        }
        let State { next, open, untaken, .. } = &mut *state;
        let (id, waiting) = open.entry(question.clone()).or_default();
        waiting.retain(|sender| !sender.is_closed());
        if waiting.len() >= MAX_WAITING {
            return Asked::Full;
        }
        // Nobody waits: it is new, or was taken and never answered. Then it is asked once more, under another number.
        if waiting.is_empty() && !untaken.contains(&question) {
            *next += 1;
            *id = *next;
            untaken.push_back(question);
            self.arrived.notify_one();
        }
        let (sender, receiver) = oneshot::channel();
        waiting.push(sender);
        Asked::Waits(receiver)
    }

    /// The questions that nobody has taken yet, as a JSON list; `None` when none came in time.
    pub fn take(&self, wait: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        while state.untaken.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed {
                return None;
            }
            state = self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let taken: Vec<Question> = state.untaken.drain(..).collect();
        let numbered: Vec<Numbered<'_>> = taken
            .iter()
            .filter_map(|question| state.open.get(question).map(|(id, _)| Numbered { id: *id, question }))
            .collect();
        serde_json::to_vec(&numbered).ok()
    }

    /// The question of this number, while it is open.
    pub fn find(&self, id: u64) -> Option<Question> {
        let state = self.lock();
        state.open.iter().find(|(_, (open, _))| *open == id).map(|(question, _)| question.clone())
    }

    /// Lets everybody who waits for this question go on. An unknown id is ignored.
    pub fn answer(&self, id: u64, yes: bool) {
        self.tell(id, if yes { Told::Yes } else { Told::No });
    }

    /// The same with what was found out.
    pub fn tell(&self, id: u64, told: Told) {
        let mut state = self.lock();
        let question =
            state.open.iter().find(|(_, (open, _))| *open == id).map(|(question, _)| question.clone());
        let waiting = question.as_ref().and_then(|question| state.open.remove(question));
        if let Some(question) = question.filter(|question| !told.is_yes() && question.is_of_keys()) {
            state.refuse(question, Instant::now());
        }
        drop(state);
        for sender in waiting.into_iter().flat_map(|(_, waiting)| waiting) {
            // A request that stopped waiting has dropped its end.
            let _ = sender.send(told.clone());
        }
    }

    /// Nobody will answer any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.open.clear();
        drop(state);
        self.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests;
