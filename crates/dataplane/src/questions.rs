//! Rare look-ups that only Python can answer. One question at a time for the same thing; every asker has a deadline.

use std::collections::VecDeque;
use std::mem::discriminant;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
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

/// A question that is not answered yet.
#[derive(Debug)]
struct Open {
    id: u64,
    waiting: Vec<oneshot::Sender<Told>>,
    /// How long Python has for it.
    deadline: Duration,
    /// Python has it, and until then it is believed to be at it. So long it keeps its place, whether anybody waits or not: who
    /// asks and leaves gets no more out of Python than who stays.
    taken_until: Option<Instant>,
}

impl Open {
    /// Nobody waits for it, and nobody is at it.
    fn is_idle(&self, now: Instant) -> bool {
        let is_awaited = self.waiting.iter().any(|sender| !sender.is_closed());
        !is_awaited && self.taken_until.is_none_or(|until| now >= until)
    }
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<Question, Open>,
    untaken: VecDeque<Question>,
    /// Questions about key sets that were lately answered with no, at most `MAX_REFRESHES`.
    refused: HashMap<Question, Instant>,
    closed: bool,
}

impl State {
    /// Forgets questions that nobody waits for any more, and nobody is at.
    fn sweep(&mut self, now: Instant) {
        let Self { open, untaken, .. } = self;
        open.retain(|_, open| !open.is_idle(now));
        untaken.retain(|question| open.contains_key(question));
    }

    /// The question, asked if it is not: once more and under another number where it was never answered.
    fn open(&mut self, question: Question, deadline: Duration, now: Instant) -> &mut Open {
        let Self { next, open, untaken, .. } = self;
        let mut ask = || {
            *next += 1;
            untaken.push_back(question.clone());
            Open { id: *next, waiting: Vec::new(), deadline, taken_until: None }
        };
        match open.entry(question.clone()) {
            Entry::Vacant(entry) => entry.insert(ask()),
            Entry::Occupied(entry) => {
                let open = entry.into_mut();
                if open.taken_until.is_some() && open.is_idle(now) {
                    *open = ask();
                }
                open
            }
        }
    }

    fn find(&self, id: u64) -> Option<Question> {
        self.open.iter().find(|(_, open)| open.id == id).map(|(question, _)| question.clone())
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
        match self.enqueue(question, patience, Instant::now()) {
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

    fn enqueue(&self, question: Question, patience: Patience, now: Instant) -> Asked {
        let mut state = self.lock();
        if state.is_full(&question, patience.open) {
            state.sweep(now);
        }
        if state.closed || state.is_full(&question, patience.open) {
            return Asked::Full;
        }
        let before = state.next;
        let Open { id, waiting, .. } = state.open(question, patience.deadline, now);
        waiting.retain(|sender| !sender.is_closed());
        if waiting.len() >= MAX_WAITING {
            return Asked::Full;
        }
        if *id > before {
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
        let now = Instant::now();
        let take = |question| {
            let open = state.open.get_mut(question)?;
            open.taken_until = Some(now + open.deadline);
            Some(Numbered { id: open.id, question })
        };
        let numbered: Vec<Numbered<'_>> = taken.iter().filter_map(take).collect();
        serde_json::to_vec(&numbered).ok()
    }

    /// The question of this number, while it is open.
    pub fn find(&self, id: u64) -> Option<Question> {
        self.lock().find(id)
    }

    /// Lets everybody who waits for this question go on. An unknown id is ignored.
    pub fn answer(&self, id: u64, yes: bool) {
        self.tell(id, if yes { Told::Yes } else { Told::No });
    }

    /// The same with what was found out.
    pub fn tell(&self, id: u64, told: Told) {
        let mut state = self.lock();
        let question = state.find(id);
        let waiting = question.as_ref().and_then(|question| state.open.remove(question));
        if let Some(question) = question.filter(|question| !told.is_yes() && question.is_of_keys()) {
            state.refuse(question, Instant::now());
        }
        drop(state);
        for sender in waiting.into_iter().flat_map(|open| open.waiting) {
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
