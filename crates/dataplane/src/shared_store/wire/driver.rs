//! The task that owns the socket: writes what was asked, hands out what is answered, ends who waits too long.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::mem::swap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::places::Places;
use super::reply;
use crate::io::stream::Stream;

/// What is read at a time. An answer has some 50 bytes.
const ROOM: usize = 16 * 1024;
/// An answer that is longer is none of ours.
const LONGEST: usize = 256 * 1024;
/// A buffer that was larger than this once is not kept.
const KEPT: usize = 64 * 1024;
/// Where answers come sooner than this, what is asked meanwhile waits for them and is then asked together: one write and
/// one read for several requests, for less than they would lose by a system call each.
const NEAR: Duration = Duration::from_micros(300);

pub(super) struct Driver {
    stream: Stream,
    places: Rc<RefCell<Places>>,
    /// What is being written, and how much of it was.
    sending: Vec<u8>,
    sent: usize,
    /// What was read, and how much of the room is used.
    read: Vec<u8>,
    filled: usize,
    /// Answers that are to come to what was written.
    under_way: usize,
    /// When that was, until the first of them has come.
    asked_at: Option<Instant>,
    /// How long answers take of late.
    distance: Duration,
    timer: Pin<Box<Sleep>>,
    is_timed: bool,
}

impl Driver {
    pub(super) fn new(stream: Stream, places: Rc<RefCell<Places>>) -> Self {
        Self {
            stream,
            places,
            sending: Vec::new(),
            sent: 0,
            read: vec![0; ROOM],
            filled: 0,
            under_way: 0,
            asked_at: None,
            distance: Duration::MAX,
            timer: Box::pin(sleep_until(Instant::now().into())),
            is_timed: false,
        }
    }

    /// Ready with the reason for the end of the connection.
    fn turn(&mut self, context: &mut Context<'_>) -> Poll<String> {
        if let Err(why) = self.take_in(context) {
            return Poll::Ready(why);
        }
        if let Err(error) = self.send(context) {
            return Poll::Ready(error.to_string());
        }
        self.keep_time(context);
        if self.places.borrow().is_over() { Poll::Ready(String::new()) } else { Poll::Pending }
    }

    fn take_in(&mut self, context: &mut Context<'_>) -> Result<(), String> {
        loop {
            if self.filled == self.read.len() {
                if self.filled >= LONGEST {
                    return Err("an answer is too long".to_owned());
                }
                self.read.resize(2 * self.filled, 0);
            }
            let mut room = ReadBuf::new(self.read.get_mut(self.filled..).unwrap_or_default());
            match Pin::new(&mut self.stream).poll_read(context, &mut room) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => return Err(error.to_string()),
                Poll::Ready(Ok(())) if room.filled().is_empty() => {
                    return Err("the server has closed the connection".to_owned());
                }
                Poll::Ready(Ok(())) => self.filled += room.filled().len(),
            }
            self.hand_out()?;
        }
    }

    fn hand_out(&mut self) -> Result<(), String> {
        if let Some(asked_at) = self.asked_at.take() {
            let took = asked_at.elapsed();
            self.distance =
                if self.distance == Duration::MAX { took } else { (self.distance * 7 + took) / 8 };
        }
        let mut places = self.places.borrow_mut();
        let mut rest = self.read.get(..self.filled).unwrap_or_default();
        loop {
            let read = reply::read(rest).map_err(|_| "the server speaks another language".to_owned())?;
            let Some((reply, after)) = read else { break };
            if !places.answered(reply) {
                return Err("the server answers what nobody has asked".to_owned());
            }
            self.under_way = self.under_way.saturating_sub(1);
            rest = after;
        }
        let left = rest.len();
        self.read.copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        Ok(())
    }

    fn send(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            let rest = self.sending.get(self.sent..).unwrap_or_default();
            if rest.is_empty() && !self.take_up() {
                return Ok(());
            }
            let rest = self.sending.get(self.sent..).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write(context, rest)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(sent) => self.sent += sent,
            }
        }
    }

    /// Takes what was asked meanwhile as what is to be sent next. False: nothing, or not yet.
    fn take_up(&mut self) -> bool {
        self.sending.clear();
        self.sending.shrink_to(KEPT);
        self.sent = 0;
        let mut places = self.places.borrow_mut();
        let waits = self.under_way > 0 && self.distance < NEAR;
        if places.out.is_empty() || waits {
            return false;
        }
        swap(&mut self.sending, &mut places.out);
        self.under_way = places.due();
        self.asked_at.get_or_insert_with(Instant::now);
        true
    }

    /// One timer for all: set to who has asked first, and set again only when it has fired.
    fn keep_time(&mut self, context: &mut Context<'_>) {
        loop {
            if !self.is_timed {
                let Some(deadline) = self.places.borrow().deadline() else { return };
                self.timer.as_mut().reset(deadline.into());
                self.is_timed = true;
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return;
            }
            self.is_timed = false;
            self.places.borrow_mut().expire(Instant::now());
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        driver.places.borrow_mut().drive(context.waker());
        driver.turn(context).map(|why| driver.places.borrow_mut().finish(&why))
    }
}
