//! What is asked on a connection, in the order of asking, which is that of the answers.
//!
//! Who asks has a place. It is free again when its answer has come and nobody waits for it any more, so that the answer to
//! a request that has gone is never taken for that of another.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::mem::take;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::Failure;
use super::command::Terms;
use super::reply::{Numbers, Reply};

/// Numbers; none where the server only says that it has done so.
type Answer = Result<Numbers, Failure>;

enum State {
    /// Answered, and not waited for.
    Free,
    Waiting(Option<Waker>),
    Done(Answer),
    /// Nobody waits any more.
    Left,
}

struct Place {
    state: State,
    deadline: Instant,
    /// Its answer is still to come.
    is_due: bool,
}

pub(super) struct Places {
    most: usize,
    places: Vec<Place>,
    free: Vec<usize>,
    /// Places whose answers are to come.
    due: VecDeque<usize>,
    /// What is to be written next.
    pub(super) out: Vec<u8>,
    terms: Terms,
    driver: Option<Waker>,
    end: Option<Rc<str>>,
    /// Nobody will ask any more.
    is_left: bool,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            places: Vec::new(),
            free: Vec::new(),
            due: VecDeque::new(),
            out: Vec::new(),
            terms: Terms::default(),
            driver: None,
            end: None,
            is_left: false,
        }
    }

    pub(super) fn end(&self) -> Option<&Rc<str>> {
        self.end.as_ref()
    }

    pub(super) fn leave(&mut self) {
        self.is_left = true;
        self.wake_driver();
    }

    /// Nobody waits and nobody will.
    pub(super) fn is_over(&self) -> bool {
        self.is_left && !self.due.iter().any(|place| self.is_waited_for(*place))
    }

    fn is_waited_for(&self, place: usize) -> bool {
        self.places.get(place).is_some_and(|place| matches!(place.state, State::Waiting(_)))
    }

    pub(super) fn drive(&mut self, waker: &Waker) {
        if !self.driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    /// Answers that are to come.
    pub(super) fn due(&self) -> usize {
        self.due.len()
    }

    /// When the first who waits will wait no longer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mut waiting = self.due.iter().filter_map(|place| self.places.get(*place));
        waiting.find(|place| matches!(place.state, State::Waiting(_))).map(|place| place.deadline)
    }

    fn ask(
        &mut self,
        deadline: Instant,
        write: impl FnOnce(&mut Vec<u8>, &mut Terms),
    ) -> Result<usize, Failure> {
        if let Some(end) = &self.end {
            return Err(Failure::Lost(Rc::clone(end)));
        }
        if self.due.len() >= self.most {
            return Err(Failure::Full);
        }
        let place = Place { state: State::Waiting(None), deadline, is_due: true };
        let index = match self.free.pop() {
            Some(index) => index,
            None => self.places.len(),
        };
        match self.places.get_mut(index) {
            Some(free) => *free = place,
            None => self.places.push(place),
        }
        self.due.push_back(index);
        if self.out.is_empty() {
            self.wake_driver();
        }
        write(&mut self.out, &mut self.terms);
        Ok(index)
    }

    /// The next answer. False: nobody has asked for it.
    pub(super) fn answered(&mut self, reply: Reply) -> bool {
        let Some(index) = self.due.pop_front() else { return false };
        let answer = match reply {
            Reply::Numbers(numbers) => Ok(numbers),
            Reply::Word => Ok(Numbers::new()),
            Reply::Error(words) => Err(Failure::Refused(words)),
        };
        let Some(place) = self.places.get_mut(index) else { return false };
        place.is_due = false;
        match &mut place.state {
            State::Waiting(waker) => {
                let waker = waker.take();
                place.state = State::Done(answer);
                waker.into_iter().for_each(Waker::wake);
            }
            State::Left => self.release(index),
            // It has been told already that the answer is late.
            State::Done(_) | State::Free => {}
        }
        true
    }

    fn release(&mut self, index: usize) {
        if let Some(place) = self.places.get_mut(index) {
            place.state = State::Free;
            self.free.push(index);
        }
    }

    fn fail(&mut self, index: usize, failure: &Failure) {
        let Some(place) = self.places.get_mut(index) else { return };
        if let State::Waiting(waker) = &mut place.state {
            let waker = waker.take();
            place.state = State::Done(Err(failure.clone()));
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Who waits beyond the deadline does not.
    pub(super) fn expire(&mut self, now: Instant) {
        let is_late = |place: &Place| place.deadline <= now;
        let late: Vec<usize> = self
            .due
            .iter()
            .copied()
            .take_while(|index| self.places.get(*index).is_some_and(is_late))
            .collect();
        late.into_iter().for_each(|index| self.fail(index, &Failure::Late));
    }

    /// There are no more answers.
    pub(super) fn finish(&mut self, why: &str) {
        let why: Rc<str> = why.into();
        self.end = Some(Rc::clone(&why));
        self.out = Vec::new();
        for index in take(&mut self.due) {
            self.fail(index, &Failure::Lost(Rc::clone(&why)));
            let place = self.places.get_mut(index);
            let is_left = place.is_some_and(|place| {
                place.is_due = false;
                matches!(place.state, State::Left)
            });
            if is_left {
                self.release(index);
            }
        }
    }
}

/// An answer that is waited for. Dropping it loses the answer and disturbs nobody's.
pub struct Pending {
    places: Rc<RefCell<Places>>,
    place: Result<usize, Option<Failure>>,
}

impl Pending {
    pub(super) fn ask(
        places: &Rc<RefCell<Places>>,
        deadline: Instant,
        write: impl FnOnce(&mut Vec<u8>, &mut Terms),
    ) -> Self {
        let place = places.borrow_mut().ask(deadline, write).map_err(Some);
        Self { places: Rc::clone(places), place }
    }
}

impl Future for Pending {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let index = match &mut self.place {
            Ok(index) => *index,
            // Polled after its end: there is nothing to come.
            Err(failure) => return Poll::Ready(Err(failure.take().unwrap_or(Failure::Late))),
        };
        let mut places = self.places.borrow_mut();
        let Some(place) = places.places.get_mut(index) else { return Poll::Ready(Err(Failure::Late)) };
        match &mut place.state {
            State::Waiting(waker) => {
                if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            State::Done(answer) => {
                let answer = std::mem::replace(answer, Ok(Numbers::new()));
                drop(places);
                self.leave(index);
                Poll::Ready(answer)
            }
            State::Free | State::Left => Poll::Ready(Err(Failure::Late)),
        }
    }
}

impl Pending {
    fn leave(&mut self, index: usize) {
        self.place = Err(None);
        let mut places = self.places.borrow_mut();
        let Some(place) = places.places.get_mut(index) else { return };
        if place.is_due {
            place.state = State::Left;
        } else {
            places.release(index);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Ok(index) = self.place {
            self.leave(index);
        }
    }
}
