//! The further attempts of a request whose first one failed, up to the head of an answer that goes to the client.
//!
//! Another one is made where the route's `retry` says so. And where an instance takes no connection, which is nothing new,
//! another instance is asked once (requirement BH-21): nothing was sent, or what was sent may be sent twice.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::{self, Ask, Instance, Outcome, Service, Target};
use crate::exchange::Exchange;
use crate::http1::response_head::ResponseHead;
use crate::pipeline::account::Account;
use crate::pipeline::hedging::{Finish, Race};
use crate::pipeline::trip::{Trip, note_load};
use crate::pipeline::watch::Watch;
use crate::proxy::attempt::{Fault, Loss, Means};
use crate::proxy::retry::{Cause, Hedge, Retry};
use crate::proxy::{self, Answered, grpc};
use crate::record::Hedged;
use crate::refusal::Refusal;
use crate::trail::{self, Awaited, Inputs, Rule, Stage};

const PAUSED: trail::Cause =
    trail::Cause { stage: Stage::Proxy, rule: Rule::None, awaited: Awaited::Backoff };

/// How an attempt went, up to the head of its answer.
pub type Sent = Result<Answered, Fault>;

/// Another instance than those that were `tried`, where there is one.
pub fn pick(
    trip: &Trip<'_>,
    service: &Arc<Service>,
    tried: &[&Arc<Instance>],
    now: Instant,
) -> Result<Target, Refusal> {
    let ask = trip.visit.facts.ask(trip.request, trip.permit.grant(), trip.proxy.breaker);
    // Another number than before, or chance would choose what it chose then.
    balance::pick(service, &Ask { now, random: fastrand::u64(..), tried, ..ask })
}

/// Whose attempts these are, for the trail.
pub fn rule(account: &Account) -> Rule {
    account.service().map_or(Rule::None, Rule::Service)
}

/// Could another attempt follow this one? Asked for every request, so only what is there is looked at.
pub fn may_follow<E>(trip: &Trip<'_>, sent: &Sent, means: &Means<'_, E>) -> bool {
    let retry = trip.route.retry.as_deref();
    match sent {
        Ok(answered) => retry.is_some_and(|retry| retry.lists(answered, means.request, means.response)),
        Err(Fault::Gone(_)) => true,
        Err(_) => retry.is_some(),
    }
}

/// Makes further attempts for as long as there is to be one; the first, too, where that may race with others. `sent` becomes
/// the last one's, and `target` its instance, whose outcome nobody has told yet.
pub async fn persist<E: Exchange>(
    trip: &Trip<'_>,
    path: &[u8],
    means: &mut Means<'_, E>,
    (account, target): (&mut Account, &mut Target),
    sent: &mut Sent,
) {
    let mut course = Course::new(trip, path, (account, target));
    if let Some(hedge) = trip.hedge() {
        *sent = course.race(hedge, means).await;
    }
    while let Some(next) = course.next(sent, means) {
        course.turn_to(next.target, sent, means);
        let watch = Watch::new(&mut course.account.trail, trip.visit.began, PAUSED);
        *sent = match pause(next.wait, watch, means).await {
            Ok(()) => course.send(means).await,
            Err(fault) => Err(fault),
        };
    }
    course.end(sent, means);
}

/// The client may hang up meanwhile.
async fn pause<E: Exchange>(wait: Duration, watch: Watch<'_>, means: &mut Means<'_, E>) -> Result<(), Fault> {
    if wait.is_zero() {
        return Ok(());
    }
    let Means { exchange, timer, .. } = means;
    timer.set(Instant::now() + wait);
    let over = pin!(poll_fn(|context| timer.poll(context)));
    watch.with(&mut **exchange, over).await.map_err(|_| Fault::ClientGone)
}

/// Another attempt.
struct Next {
    target: Target,
    wait: Duration,
}

/// What became of an attempt that may be followed by another.
struct Failure {
    cause: Cause,
    /// For the record.
    told: Told,
    /// The instance seems to be gone.
    is_gone: bool,
    outcome: Outcome,
}

/// How an attempt went, in the words of the record.
#[derive(Clone, Copy)]
enum Told {
    Status(u16),
    /// The service said of a gRPC call that it failed, in this way.
    Grpc(u16),
    Error(&'static str),
}

impl Told {
    fn of(fault: &Fault) -> Self {
        Self::Error(match fault.clone().settled() {
            Fault::Upstream(fault) | Fault::Gone(fault) => fault.text(),
            Fault::UpstreamTimeout => "upstream_timeout",
            Fault::Deadline => "deadline_exceeded",
            Fault::ClientGone => "client_closed",
            Fault::ClientStalled => "client_stalled",
            Fault::Refused(refusal) => refusal.code(),
            Fault::Stale | Fault::Unprocessed => "connection_reset",
        })
    }
}

/// How far the attempts of a request have come.
struct Course<'a> {
    trip: &'a Trip<'a>,
    path: &'a [u8],
    account: &'a mut Account,
    target: &'a mut Target,
    /// The instances of earlier attempts.
    tried: Vec<Arc<Instance>>,
    /// Attempts that `retry` asked for.
    retries: u32,
    has_moved: bool,
    /// Attempts raced, and one of them won.
    has_winner: bool,
    /// When this attempt began, and whether its end has been told.
    began: Instant,
    is_told: bool,
}

impl<'a> Course<'a> {
    fn new(trip: &'a Trip<'a>, path: &'a [u8], (account, target): (&'a mut Account, &'a mut Target)) -> Self {
        let began = trip.began;
        let (tried, retries) = (Vec::new(), 0);
        let (has_moved, has_winner, is_told) = (false, false, false);
        Self { trip, path, account, target, tried, retries, has_moved, has_winner, began, is_told }
    }

    fn retry(&self) -> Option<&'a Retry> {
        self.trip.route.retry.as_deref()
    }

    /// The first attempt, and those that join it while it is slow.
    async fn race<E: Exchange>(&mut self, hedge: &Hedge, means: &mut Means<'_, E>) -> Sent {
        let race = Race::new(self.trip, self.path, hedge);
        let ended = race.run(self.target, means, self.account).await;
        let now = Instant::now();
        for mut failed in ended.failed {
            self.lost(&mut failed, now);
        }
        for one in ended.given_up {
            self.tell(&one.instance, (Told::Error("cancelled"), Some("lost")), one.began, now);
            self.tried.push(one.instance);
            self.hedged(one.is_first, Hedged::Lost);
        }
        let Some(last) = ended.last else { return Err(Fault::ClientGone) };
        let Finish { sent, response, outgoing, further, began, delays, .. } = *last;
        self.has_winner = sent.is_ok() && self.failure(&sent, &response).is_none();
        (*means.response, *means.outgoing, self.began) = (response, outgoing, began);
        self.hedged(further.is_none(), if self.has_winner { Hedged::Won } else { Hedged::Failed });
        if let Some(further) = further {
            *self.target = further;
        }
        self.account.instance = Some(Arc::clone(&self.target.instance));
        self.trip.count_attempt(&sent, delays, self.account);
        sent
    }

    /// An attempt failed while others were under way.
    fn lost(&mut self, failed: &mut Finish, now: Instant) {
        let Some(failure) = self.failure(&failed.sent, &failed.response) else { return };
        let target = failed.further.as_mut().unwrap_or(self.target);
        note_load(target, &failed.response);
        let opened = target.conclude(failure.outcome, now);
        if let Some(opened) = opened {
            self.account.interrupted(&opened);
        }
        if let Err(fault) = &failed.sent {
            self.trip.count_fault(&fault.clone().settled());
        }
        self.tell(&failed.instance, (failure.told, None), failed.began, now);
        self.tried.push(Arc::clone(&failed.instance));
        self.hedged(failed.further.is_none(), Hedged::Failed);
    }

    /// Counts attempts beside the first.
    fn hedged(&self, is_first: bool, how: Hedged) {
        if !is_first {
            self.trip.metrics().hedged(how);
        }
    }

    /// The attempt after this one, where there is to be one. The outcome of this one is told then.
    fn next<E: Exchange>(&mut self, sent: &Sent, means: &Means<'_, E>) -> Option<Next> {
        let failure = self.failure(sent, means.response)?;
        note_load(self.target, means.response);
        let now = Instant::now();
        let moves = failure.is_gone && !std::mem::replace(&mut self.has_moved, true);
        if moves && let Some(target) = self.elsewhere(&failure, now) {
            return Some(Next { target, wait: Duration::ZERO });
        }
        let retry = self.retry()?;
        let wait = self.wait(retry, &failure, means, now)?;
        if !self.target.service.retry_budget.spend(&retry.budget, now) {
            self.denied("budget");
            self.trip.metrics().budget_exhausted.add(1);
            return None;
        }
        self.conclude(&failure, now);
        // Where it is refused, this attempt's answer is better than that refusal.
        let Ok(target) = self.pick(now + wait) else {
            self.denied("no_instance");
            return None;
        };
        self.retries += 1;
        self.trip.metrics().retried(failure.cause as usize);
        Some(Next { target, wait })
    }

    fn failure(&self, sent: &Sent, response: &ResponseHead) -> Option<Failure> {
        let fault = match sent {
            Ok(answered) => {
                let is_listed = self.retry()?.lists(answered, self.trip.request, response);
                return is_listed.then(|| self.rejection(answered, response));
            }
            Err(fault) => fault,
        };
        let cause = Cause::of(fault)?;
        let outcome = match cause {
            Cause::ConnectFailure => Outcome::Unreachable,
            Cause::Reset | Cause::Timeout | Cause::Status => Outcome::Failure,
        };
        let told = Told::of(fault);
        Some(Failure { cause, told, is_gone: matches!(fault, Fault::Gone(_)), outcome })
    }

    /// An answer that the client is not to have.
    fn rejection(&self, answered: &Answered, response: &ResponseHead) -> Failure {
        let grpc = answered.attempt.grpc_status(response).filter(|_| self.trip.request.is_grpc());
        let is_failure = self.trip.forward(self.target).call.is_some_and(|call| call.has_failed(grpc));
        let status = response.status;
        let outcome = if is_failure { Outcome::FailedCall } else { Outcome::Answered(status) };
        let code = grpc.and_then(grpc::code).filter(|_| status == 200);
        let told = code.map_or(Told::Status(status), Told::Grpc);
        Failure { cause: Cause::Status, told, is_gone: false, outcome }
    }

    /// How long to wait for another attempt that `retry` asks for, where it does and that can be made.
    fn wait<E>(
        &mut self,
        retry: &Retry,
        failure: &Failure,
        means: &Means<'_, E>,
        now: Instant,
    ) -> Option<Duration> {
        if self.retries >= retry.attempts || !retry.answers(failure.cause, self.trip.request) {
            return None;
        }
        let is_long = means.body.len() > retry.max_body;
        if let Some(loss) = means.replay.loss().or(is_long.then_some(Loss::LongBody)) {
            self.denied(loss.text());
            return None;
        }
        let wait = retry.backoff.wait(self.retries + 1, |bound| fastrand::u64(0..=bound));
        if now + wait >= self.trip.deadline() {
            self.denied("timeout");
            return None;
        }
        Some(wait)
    }

    /// Another instance at once, where there is one. Whether it is asked does not depend on `retry`.
    fn elsewhere(&mut self, failure: &Failure, now: Instant) -> Option<Target> {
        if self.target.service.instances().len() < 2 {
            return None;
        }
        self.conclude(failure, now);
        let next = self.pick(now).ok()?;
        if self.tried.iter().any(|one| Arc::ptr_eq(one, &next.instance)) {
            return None;
        }
        self.trip.metrics().resent.add(1);
        Some(next)
    }

    fn pick(&self, at: Instant) -> Result<Target, Refusal> {
        let tried: Vec<&Arc<Instance>> = self.tried.iter().collect();
        pick(self.trip, &self.target.service, &tried, at)
    }

    /// Breaker and health of the instance learn how this attempt went, and so does the record.
    fn conclude(&mut self, failure: &Failure, now: Instant) {
        if let Some(opened) = self.target.conclude(failure.outcome, now) {
            self.account.interrupted(&opened);
        }
        if !std::mem::replace(&mut self.is_told, true) {
            let instance = Arc::clone(&self.target.instance);
            self.tell(&instance, (failure.told, None), self.began, now);
            self.tried.push(instance);
        }
    }

    /// Each attempt is in the record where there are several; how many there can be, `retry` and `hedge` say. `race`: how
    /// it ended for one that raced with others.
    fn tell(&mut self, instance: &Instance, how: (Told, Option<&'static str>), began: Instant, now: Instant) {
        let took = now.saturating_duration_since(began).as_millis();
        let inputs = Inputs::none().text("instance", &instance.name);
        let (told, race) = how;
        let inputs = match told {
            Told::Status(status) => inputs.number("status", status.into()),
            Told::Grpc(code) => inputs.number("grpc_status", code.into()),
            Told::Error(error) => inputs.fixed("error", error),
        };
        let after = began.saturating_duration_since(self.trip.visit.began).as_millis();
        let inputs = inputs.number("after_ms", u64::try_from(after).unwrap_or(u64::MAX));
        let inputs = inputs.number("took_ms", u64::try_from(took).unwrap_or(u64::MAX));
        let inputs = race.map_or(inputs.clone(), |race| inputs.fixed("race", race));
        self.account.trail.push(Stage::Proxy, "attempted", rule(self.account), inputs);
    }

    /// Another attempt was wanted.
    fn denied(&mut self, reason: &'static str) {
        let inputs = Inputs::none().fixed("reason", reason);
        self.account.trail.push(Stage::Proxy, "retry_denied", rule(self.account), inputs);
    }

    /// Lets go of this attempt.
    fn turn_to<E: Exchange>(&mut self, next: Target, sent: &mut Sent, means: &mut Means<'_, E>) {
        match std::mem::replace(sent, Err(Fault::Stale)) {
            Ok(answered) => {
                answered.attempt.discard(&self.trip.forward(self.target), &self.trip.worker.links, means);
            }
            Err(fault) => self.trip.count_fault(&fault.settled()),
        }
        *self.target = next;
        self.has_winner = false;
        self.account.targeted(self.target);
        if !means.exchange.body_is_complete() {
            self.target.uploads();
        }
    }

    /// Begins the attempt that was decided on.
    async fn send<E: Exchange>(&mut self, means: &mut Means<'_, E>) -> Sent {
        let Self { trip, path, .. } = *self;
        (self.began, self.is_told) = (Instant::now(), false);
        self.account.attempts += 1;
        means.response.clear();
        let forward = trip.further(self.target, self.began);
        let head = trip.head(path, &self.target.instance);
        let sent = proxy::send(&forward, &head, &trip.worker.links, means).await;
        trip.count_attempt(&sent, forward.delays.get(), self.account);
        sent
    }

    /// No other attempt follows.
    fn end<E>(&mut self, sent: &Sent, means: &Means<'_, E>) {
        if self.tried.is_empty() || self.is_told {
            return;
        }
        let told = sent.as_ref().map_or_else(Told::of, |_| Told::Status(means.response.status));
        let (instance, race) = (Arc::clone(&self.target.instance), self.has_winner.then_some("won"));
        self.tell(&instance, (told, race), self.began, Instant::now());
    }
}
