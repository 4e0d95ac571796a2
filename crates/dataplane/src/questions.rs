//! Rare look-ups that only Python can answer. One question at a time for the same thing; every asker has a deadline.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use serde::Serialize;
use tokio::sync::oneshot;

/// Requests that may wait for one answer; a further one is told that there is none.
const MAX_WAITING: usize = 1_000;
/// Questions that may be open at once.
const MAX_OPEN: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Question {
    /// A token names a key that the identity's key set does not have (requirement AU-9).
    RefreshKeys { identity: String },
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
    open: HashMap<Question, (u64, Vec<oneshot::Sender<bool>>)>,
    untaken: VecDeque<Question>,
    closed: bool,
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

    /// Waits at most `deadline` for an answer; `false` when there is none in time, or it is no.
    pub async fn ask(&self, question: Question, deadline: Duration) -> bool {
        let Some(answer) = self.enqueue(question) else { return false };
        matches!(tokio::time::timeout(deadline, answer).await, Ok(Ok(true)))
    }

    fn enqueue(&self, question: Question) -> Option<oneshot::Receiver<bool>> {
        let mut state = self.lock();
        let (sender, receiver) = oneshot::channel();
        if let Some((_, waiting)) = state.open.get_mut(&question) {
            waiting.retain(|sender| !sender.is_closed());
            if waiting.len() >= MAX_WAITING {
                return None;
            }
            waiting.push(sender);
            return Some(receiver);
        }
        if state.closed || state.open.len() >= MAX_OPEN {
            return None;
        }
        state.next += 1;
        let id = state.next;
        state.open.insert(question.clone(), (id, vec![sender]));
        state.untaken.push_back(question);
        self.arrived.notify_one();
        Some(receiver)
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

    /// Lets everybody who waits for this question go on. An unknown id is ignored.
    pub fn answer(&self, id: u64, yes: bool) {
        let mut state = self.lock();
        let question =
            state.open.iter().find(|(_, (open, _))| *open == id).map(|(question, _)| question.clone());
        let waiting = question.and_then(|question| state.open.remove(&question));
        drop(state);
        for sender in waiting.into_iter().flat_map(|(_, waiting)| waiting) {
            // A request that stopped waiting has dropped its end.
            let _ = sender.send(yes);
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
mod tests {
    use super::*;

    fn question() -> Question {
        Question::RefreshKeys { identity: "mobile".to_owned() }
    }

    #[test]
    fn two_askers_share_one_question_and_its_answer() {
        let questions = Questions::default();
        let (mut first, mut second) =
            (questions.enqueue(question()).unwrap(), questions.enqueue(question()).unwrap());
        let taken = questions.take(Duration::ZERO).unwrap();
        assert_eq!(taken, br#"[{"id":1,"kind":"refresh_keys","identity":"mobile"}]"#);
        assert_eq!(questions.take(Duration::ZERO), None);
        questions.answer(1, true);
        assert_eq!(first.try_recv(), Ok(true));
        assert_eq!(second.try_recv(), Ok(true));
    }

    #[test]
    fn the_number_of_waiting_requests_is_bounded() {
        let questions = Questions::default();
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| questions.enqueue(question())).collect();
        assert!(waiting.iter().all(Option::is_some));
        assert!(questions.enqueue(question()).is_none());
    }

    #[test]
    fn an_answer_to_nobody_is_ignored() {
        Questions::default().answer(7, true);
    }
}
