//! Connections of one worker to each instance: idle ones to be used again, and how many may be in use at once.

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::balance::Instance;
use crate::proxy::upstream::Upstream;

/// Limits of the connections to one instance, of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolSettings {
    /// In use at once; the node's limit divided by its workers, rounded up.
    pub connections: usize,
    /// Kept open, in use or not.
    pub minimum: usize,
    /// Requests of the service that may wait for one, on the whole node.
    pub pending: usize,
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub max_lifetime: Duration,
    /// Bytes of one head of a response; a longer one is a 502.
    pub head_bytes: usize,
    /// Which TLS its connections have; 0 for none. Connections of another are not used again.
    pub tls: u64,
}

#[derive(Debug)]
struct Pool {
    /// Keeps the address of the instance, which is the key of the map, from being used again.
    instance: Arc<Instance>,
    settings: PoolSettings,
    places: Arc<Semaphore>,
    #[expect(clippy::vec_box, reason = "each is moved a dozen times a request; a box moves as one word")]
    idle: Vec<Box<Upstream>>,
    /// On their way without a request that waits for them.
    opening: usize,
}

/// The pools of one worker.
#[derive(Debug, Default)]
pub struct Pools {
    by_instance: HashMap<usize, Pool>,
}

/// A place in a pool, or what to wait for one at.
pub enum Place {
    Free(OwnedSemaphorePermit),
    Wait(Arc<Semaphore>),
}

/// What a worker has open to an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that carry nothing.
    pub idle: usize,
    /// Connections that carry a request, or several.
    pub active: usize,
    /// Exchanges on connections that can carry several.
    pub streams: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.idle += other.idle;
        self.active += other.active;
        self.streams += other.streams;
    }
}

fn key(instance: &Arc<Instance>) -> usize {
    Arc::as_ptr(instance) as usize
}

impl Pools {
    fn pool(&mut self, instance: &Arc<Instance>, settings: &PoolSettings) -> &mut Pool {
        let pool = self.by_instance.entry(key(instance)).or_insert_with(|| Pool::new(instance, *settings));
        if pool.settings != *settings {
            *pool = Pool::new(instance, *settings);
        }
        pool
    }

    /// A place for one more request.
    pub fn place(&mut self, instance: &Arc<Instance>, settings: &PoolSettings) -> Place {
        let pool = self.pool(instance, settings);
        match Arc::clone(&pool.places).try_acquire_owned() {
            Ok(permit) => Place::Free(permit),
            Err(_) => Place::Wait(Arc::clone(&pool.places)),
        }
    }

    /// The idle connection that was used last, if one is still good.
    pub fn take(&mut self, instance: &Arc<Instance>, now: Instant) -> Option<Box<Upstream>> {
        let pool = self.by_instance.get_mut(&key(instance))?;
        while let Some(mut upstream) = pool.idle.pop() {
            if now >= upstream.kept_until {
                continue;
            }
            if upstream.is_quiet() {
                return Some(upstream);
            }
            instance.doubt(Instant::now());
        }
        None
    }

    /// Keeps a connection whose exchange ended cleanly, unless it is too old.
    pub fn put(&mut self, instance: &Arc<Instance>, mut upstream: Box<Upstream>, now: Instant) {
        let Some(pool) = self.by_instance.get_mut(&key(instance)) else { return };
        upstream.place = None;
        upstream.kept_until =
            (upstream.created + pool.settings.max_lifetime).min(now + pool.settings.idle_timeout);
        upstream.reused = true;
        if now < upstream.kept_until && pool.idle.len() < pool.settings.connections {
            pool.idle.push(upstream);
        }
    }

    /// How many connections are to be opened so that there are as many as wanted. Each comes in by `add`.
    pub fn missing(&mut self, instance: &Arc<Instance>, settings: &PoolSettings) -> usize {
        let counts = self.counts(instance);
        let pool = self.pool(instance, settings);
        let missing = settings.minimum.saturating_sub(counts.idle + counts.active + pool.opening);
        pool.opening += missing;
        missing
    }

    /// Takes in a connection that nobody has used yet; `None` where it could not be opened.
    pub fn add(&mut self, instance: &Arc<Instance>, opened: Option<Upstream>, now: Instant) {
        if let Some(pool) = self.by_instance.get_mut(&key(instance)) {
            pool.opening = pool.opening.saturating_sub(1);
        }
        if let Some(upstream) = opened {
            self.put(instance, Box::new(upstream), now);
        }
    }

    /// Closes what idled too long or was closed by its peer, and forgets instances that nobody else knows.
    pub fn sweep(&mut self, now: Instant) {
        for pool in self.by_instance.values_mut() {
            let instance = &pool.instance;
            pool.idle.retain_mut(|upstream| {
                let is_young = now < upstream.kept_until;
                let is_quiet = upstream.is_quiet();
                if is_young && !is_quiet {
                    instance.doubt(now);
                }
                is_young && is_quiet
            });
        }
        self.by_instance.retain(|_, pool| Arc::strong_count(&pool.instance) > 1 || pool.is_in_use());
    }

    pub fn counts(&self, instance: &Arc<Instance>) -> Counts {
        let Some(pool) = self.by_instance.get(&key(instance)) else { return Counts::default() };
        let active = pool.settings.connections.saturating_sub(pool.places.available_permits());
        Counts { idle: pool.idle.len(), active, streams: 0 }
    }
}

impl Pool {
    fn new(instance: &Arc<Instance>, settings: PoolSettings) -> Self {
        let places = Arc::new(Semaphore::new(settings.connections));
        Self { instance: Arc::clone(instance), settings, places, idle: Vec::new(), opening: 0 }
    }

    /// Those who wait for a place hold the instance, and by that the pool.
    fn is_in_use(&self) -> bool {
        self.places.available_permits() < self.settings.connections
    }
}
