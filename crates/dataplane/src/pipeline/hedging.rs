//! A read that is sent to a second instance as well, where the first is slow to answer: the first head wins, and whatever
//! else is under way is given up. Giving up says nothing about an instance, so breaker and health do not hear of it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::balance::{Instance, Target};
use crate::exchange::Exchange;
use crate::http1::response_head::ResponseHead;
use crate::io::timer::Timer;
use crate::pipeline::account::Account;
use crate::pipeline::bystander::Bystander;
use crate::pipeline::retrying::{Sent, pick, rule};
use crate::pipeline::trip::Trip;
use crate::proxy::attempt::{Means, Replay};
use crate::proxy::retry::Hedge;
use crate::proxy::{self, Delays};
use crate::trail::{Inputs, Stage};

/// How a race ended.
pub struct Ended {
    /// The attempt whose answer it is, or the failure of the last; none where the client left.
    pub last: Option<Box<Finish>>,
    /// Attempts that failed while others were under way.
    pub failed: Vec<Finish>,
    pub given_up: Vec<GivenUp>,
}

/// How an attempt ended.
pub struct Finish {
    pub sent: Sent,
    pub response: ResponseHead,
    pub outgoing: Vec<u8>,
    /// Its target, unless it is the first one's.
    pub further: Option<Target>,
    pub instance: Arc<Instance>,
    pub began: Instant,
    pub delays: Delays,
}

pub struct GivenUp {
    pub instance: Arc<Instance>,
    pub began: Instant,
    pub is_first: bool,
}

/// Whom an attempt goes to.
enum Aim<'a> {
    First(&'a Target),
    Further(Target),
}

impl Aim<'_> {
    fn target(&self) -> &Target {
        match self {
            Self::First(target) => target,
            Self::Further(target) => target,
        }
    }

    fn further(self) -> Option<Target> {
        match self {
            Self::First(_) => None,
            Self::Further(target) => Some(target),
        }
    }
}

/// An attempt under way.
struct Runner<'a> {
    instance: Arc<Instance>,
    began: Instant,
    is_first: bool,
    running: Pin<Box<dyn Future<Output = Box<Finish>> + 'a>>,
}

/// What happens next in a race.
enum Step {
    /// It is time for another attempt.
    Due,
    ClientGone,
    Finished(usize, Box<Finish>),
}

pub struct Race<'a> {
    trip: &'a Trip<'a>,
    path: &'a [u8],
    hedge: &'a Hedge,
    runners: Vec<Runner<'a>>,
    failed: Vec<Finish>,
    /// Attempts that may still be added.
    left: u32,
}

impl<'a> Race<'a> {
    pub fn new(trip: &'a Trip<'a>, path: &'a [u8], hedge: &'a Hedge) -> Self {
        Self { trip, path, hedge, runners: Vec::new(), failed: Vec::new(), left: hedge.attempts }
    }

    /// The first attempt goes to `target`.
    pub async fn run<E: Exchange>(
        mut self,
        target: &'a Target,
        means: &mut Means<'_, E>,
        account: &mut Account,
    ) -> Ended {
        let began = self.trip.began;
        self.start(Aim::First(target), began);
        means.timer.set(began + self.hedge.delay);
        loop {
            match poll_fn(|context| self.poll(context, means)).await {
                Step::Due => self.add(means, account),
                Step::ClientGone => return self.end(None),
                Step::Finished(place, finish) => {
                    self.runners.swap_remove(place);
                    if self.runners.is_empty() || self.is_answer(&finish) {
                        return self.end(Some(finish));
                    }
                    self.failed.push(*finish);
                }
            }
        }
    }

    fn poll<E: Exchange>(&mut self, context: &mut Context<'_>, means: &mut Means<'_, E>) -> Poll<Step> {
        for (place, runner) in self.runners.iter_mut().enumerate() {
            if let Poll::Ready(finish) = runner.running.as_mut().poll(context) {
                return Poll::Ready(Step::Finished(place, finish));
            }
        }
        if means.exchange.poll_gone(context).is_ready() {
            return Poll::Ready(Step::ClientGone);
        }
        if self.left > 0 { means.timer.poll(context).map(|()| Step::Due) } else { Poll::Pending }
    }

    /// A failure that `retry` answers is none while others are under way.
    fn is_answer(&self, finish: &Finish) -> bool {
        let retry = self.trip.route.retry.as_deref();
        let is_listed =
            |answered| retry.is_some_and(|retry| retry.lists(answered, self.trip.request, &finish.response));
        finish.sent.as_ref().is_ok_and(|answered| !is_listed(answered))
    }

    /// Another instance is asked, too, where there is one and the budget allows it.
    fn add<E>(&mut self, means: &mut Means<'_, E>, account: &mut Account) {
        let now = Instant::now();
        match self.pick(now) {
            Ok(target) => {
                account.attempts += 1;
                account.targeted(&target);
                self.start(Aim::Further(target), now);
                self.left -= 1;
                means.timer.set(now + self.hedge.delay);
            }
            Err(reason) => {
                self.left = 0;
                let inputs = Inputs::none().fixed("reason", reason);
                account.trail.push(Stage::Proxy, "hedge_denied", rule(account), inputs);
            }
        }
    }

    fn pick(&self, now: Instant) -> Result<Target, &'static str> {
        let (running, failed) = (self.runners.iter(), self.failed.iter());
        let tried: Vec<&Arc<Instance>> =
            running.map(|one| &one.instance).chain(failed.map(|one| &one.instance)).collect();
        let service = self.trip.service().ok_or("no_instance")?;
        if service.instances().len() <= tried.len() {
            return Err("no_instance");
        }
        let target = pick(self.trip, service, &tried, now).map_err(|_| "no_instance")?;
        if tried.iter().any(|one| Arc::ptr_eq(one, &target.instance)) {
            return Err("no_instance");
        }
        if !service.retry_budget.spend(&self.hedge.budget, now) {
            self.trip.metrics().budget_exhausted.add(1);
            return Err("budget");
        }
        Ok(target)
    }

    fn start(&mut self, aim: Aim<'a>, began: Instant) {
        let instance = Arc::clone(&aim.target().instance);
        let is_first = matches!(aim, Aim::First(_));
        let running = Box::pin(run(self.trip, self.path, aim, began));
        self.runners.push(Runner { instance, began, is_first, running });
    }

    fn end(self, last: Option<Box<Finish>>) -> Ended {
        let given_up = self.runners.into_iter();
        let given_up =
            given_up.map(|Runner { instance, began, is_first, .. }| GivenUp { instance, began, is_first });
        Ended { last, failed: self.failed, given_up: given_up.collect() }
    }
}

/// One attempt, with memory of its own.
async fn run(trip: &Trip<'_>, path: &[u8], aim: Aim<'_>, began: Instant) -> Box<Finish> {
    let (mut timer, mut response) = (Timer::new(began), ResponseHead::default());
    let (mut outgoing, mut body) = (Vec::new(), Vec::new());
    let mut means = Means {
        exchange: &mut Bystander,
        request: trip.request,
        handshake: None,
        timer: &mut timer,
        response: &mut response,
        outgoing: &mut outgoing,
        body: &mut body,
        replay: Replay::new(None),
    };
    let (forward, instance) = (trip.further(aim.target(), began), &aim.target().instance);
    let sent = proxy::send(&forward, &trip.head(path, instance), &trip.worker.links, &mut means).await;
    let instance = Arc::clone(instance);
    drop(means);
    let delays = forward.delays.get();
    Box::new(Finish { sent, response, outgoing, further: aim.further(), instance, began, delays })
}
