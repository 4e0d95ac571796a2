//! A service as one snapshot describes it, over state that outlives the snapshot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};

use super::breaker::{Breaker, BreakerChange, Rules};
use super::budget::Budget;
use super::ejection::Sign;
use super::events::Events;
use super::instance::Instance;
use super::ledger::Ledger;
use super::own::TenantBreakers;
use super::roster::Roster;
use super::standing::Standing;
use super::terms::Terms;
use crate::snapshot::document::{
    BalanceDocument, EjectionDocument, HealthCheckDocument, InstanceDocument, PoolDocument,
};
use crate::tls::ServiceTls;

/// What a client is told to wait where no health check says when things may be better.
const DEFAULT_RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Service {
    pub name: String,
    /// Position in the snapshot.
    pub index: u32,
    pub pool: PoolDocument,
    pub(super) balance: BalanceDocument,
    /// How its instances are spoken to; `None`: in plain.
    pub tls: Option<Arc<ServiceTls>>,
    /// Of retries, for all routes to it.
    pub retry_budget: Arc<Budget>,
    pub(super) health_check: Option<HealthCheckDocument>,
    pub(super) breaker_rules: Option<Rules>,
    pub(super) breaker: Arc<Breaker>,
    /// Of routes with a breaker of their own, under their names.
    pub(super) own_breakers: Vec<(String, Arc<Breaker>)>,
    pub(super) tenant_breakers: Arc<TenantBreakers>,
    /// The list in the snapshot; the roster may have been replaced by discovery since.
    pub(super) listed: Vec<InstanceDocument>,
    pub(super) roster: Arc<ArcSwap<Roster>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) events: Arc<Events>,
}

impl Service {
    /// The instances balanced over right now.
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.roster.load().members.instances.clone()
    }

    /// Who is balanced over at this moment. Whoever comes first after a change works it out for all.
    pub(super) fn roster(&self, now: Instant) -> Guard<Arc<Roster>> {
        let roster = self.roster.load();
        // Asked before the instances are, so that what changes meanwhile is seen next time.
        let changes = self.ledger.changes();
        if roster.is_current(changes, now) {
            return roster;
        }
        let renewed = Arc::new(roster.renewed(self.terms(), changes, now));
        // Where another thread was quicker its roster is as good, and a new list must not be lost.
        let panics = renewed.panics && !roster.panics;
        let before = self.roster.compare_and_swap(&roster, renewed);
        if panics && Arc::ptr_eq(&before, &roster) {
            self.ledger.panicked();
        }
        self.roster.load()
    }

    /// May this instance be sent requests?
    pub fn is_available(&self, instance: &Instance, now: Instant) -> bool {
        self.terms().standing(instance, now) == Standing::Healthy
    }

    pub(super) fn change_breakers(&self, name: Option<&str>, change: &BreakerChange, now: Instant) -> usize {
        let Some(rules) = &self.breaker_rules else { return 0 };
        let is_meant = |own: String| name.is_none_or(|name| name == own);
        let whole = is_meant(self.name.clone());
        let mut changed = 0;
        if rules.is_per_instance() {
            for instance in self.instances() {
                let meant = whole || is_meant(format!("{}@{}", self.name, instance.name));
                changed += usize::from(meant && instance.breaker.apply(change, rules, now));
            }
        } else {
            changed += usize::from(whole && self.breaker.apply(change, rules, now));
        }
        for (route, breaker) in &self.own_breakers {
            let meant = is_meant(format!("{}/{route}", self.name));
            changed += usize::from(meant && breaker.apply(change, rules, now));
        }
        for (tenant, breaker) in self.tenant_breakers.list() {
            let meant = is_meant(format!("{}:{tenant}", self.name));
            changed += usize::from(meant && breaker.apply(change, rules, now));
        }
        changed
    }

    pub(super) fn terms(&self) -> Terms<'_> {
        Terms { balance: &self.balance, health: self.health_check.as_ref() }
    }

    /// When asking again may help: the next check, or the end of an ejection where that comes sooner.
    pub(super) fn retry_after(&self, roster: &Roster, now: Instant) -> Duration {
        let check = self.health_check.as_ref().map(|check| Duration::from_millis(check.interval_ms));
        let due = roster.due().map(|due| due.saturating_duration_since(now));
        check.into_iter().chain(due).min().unwrap_or(DEFAULT_RETRY)
    }

    /// Takes in how a request to an instance went; sends the instance out where it failed too often in a row, unless as
    /// many are out as may be.
    pub(super) fn saw(&self, instance: &Instance, sign: Sign, now: Instant) {
        let Some(settings) = &self.balance.ejection else { return };
        if !instance.record.note(sign, settings) {
            return;
        }
        let _one_at_a_time = self.ledger.ejecting();
        let stamp = instance.clock.stamp(now);
        if instance.record.is_out(stamp) {
            return;
        }
        if self.out(now) >= self.most_out(settings) {
            self.ledger.kept();
            return;
        }
        instance.record.eject(settings, stamp);
        self.ledger.changed();
        self.events.health_changed();
    }

    /// How many are ejected now.
    fn out(&self, now: Instant) -> usize {
        let is_out = |instance: &&Arc<Instance>| instance.record.is_out(instance.clock.stamp(now));
        self.roster.load().members.instances.iter().filter(is_out).count()
    }

    /// A small share of few instances is still one of them, as long as there is another.
    fn most_out(&self, settings: &EjectionDocument) -> usize {
        let all = self.roster.load().members.instances.len();
        let most = all * settings.max_share as usize / 100;
        if most == 0 && all > 1 && settings.max_share > 0 { 1 } else { most }
    }
}
