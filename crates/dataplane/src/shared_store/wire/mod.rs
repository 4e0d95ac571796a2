//! A connection of this node's own to one server, made for what the library's costs: what many requests ask within one
//! turn of the worker is one write, their answers are one read, and one timer keeps the deadline of all.
//!
//! `places` is what is asked and not yet answered, `driver` the task that owns the socket, `command` what is written and
//! `reply` what is read.

mod command;
mod driver;
mod places;
mod reply;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use tokio::task::spawn_local;

pub use command::Script;
use command::{put_call, put_words};
use driver::Driver;
use places::{Pending, Places};

use crate::io::stream::Stream;
use crate::limit::Line;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not in time.
    Late,
    /// The connection is at its end, for this reason.
    Lost(Rc<str>),
    /// The server refuses, in these words.
    Refused(String),
    /// More is asked than may be.
    Full,
}

/// Ends when it is dropped; who waits for an answer then waits no longer than the deadline.
pub struct Wire {
    places: Rc<RefCell<Places>>,
}

impl Wire {
    /// Takes a connected stream. `most` may be asked at a time.
    pub fn new(stream: Stream, most: usize) -> Self {
        let places = Rc::new(RefCell::new(Places::new(most)));
        spawn_local(Driver::new(stream, Rc::clone(&places)));
        Self { places }
    }

    /// It can be asked nothing any more.
    pub fn is_ended(&self) -> bool {
        self.places.borrow().end().is_some()
    }

    /// One call of the script: seven numbers for each line.
    pub fn call<'l>(
        &self,
        script: Script<'_>,
        lines: impl ExactSizeIterator<Item = &'l Line> + Clone,
        deadline: Instant,
    ) -> Pending {
        Pending::ask(&self.places, deadline, |out, terms| put_call(out, terms, script, lines))
    }

    /// A command whose answer is a number or a word.
    pub fn say(&self, words: &[&[u8]], deadline: Instant) -> Pending {
        Pending::ask(&self.places, deadline, |out, _| put_words(out, words))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.places.borrow_mut().leave();
    }
}
