//! Tokens that say nothing by themselves: their issuer is asked what they are worth (RFC 7662). What Python was told is
//! remembered for all workers, good tokens and refused ones apart, so that inventing tokens pushes no good one out.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{Context, SHA256};

use super::askers::Askers;
use super::attempt::Attempt;
use super::cache::{Proof, Wanted, WantedToken};
use super::generations::{Generations, HASH, Hashed, KeyedHash};
use super::identity::Failure;
use super::key_store::KeyStore;
use super::shards::{SHARDS, Shards, lock};
use super::standing::Standing;
use super::token::MAX_TOKEN;
use crate::caller::Caller;
use crate::claims::Claims;
use crate::questions::Secret;
use crate::refusal::{CredentialFault, Unjudged};
use crate::snapshot::document::IntrospectionDocument;

pub struct OpaqueIdentity {
    pub(super) generation: u64,
    pub(super) standing: Standing,
    pub settings: IntrospectionDocument,
    pub answers: Arc<OpaqueTokens>,
}

impl OpaqueIdentity {
    pub(super) fn compile(
        name: &str,
        settings: &IntrospectionDocument,
        generation: u64,
        store: &KeyStore,
    ) -> Result<Self, String> {
        let answers = store.opaque(name, &settings.issuer_stamp)?;
        answers.configure(settings);
        let standing = Standing::compile(name, &settings.tokens, store.revocations())?;
        Ok(Self { generation, standing, settings: settings.clone(), answers })
    }

    pub(super) fn remembered(&self, attempt: &mut Attempt<'_>) -> Option<Arc<Caller>> {
        attempt.remembered(self.proof(), &self.standing.watch)
    }

    pub(super) fn identify(&self, index: u32, attempt: &mut Attempt<'_>) -> Result<Arc<Caller>, Failure> {
        let token = attempt.credential();
        if token.len() > MAX_TOKEN {
            return Err(CredentialFault::TooLong.into());
        }
        // Whatever RFC 6750 section 2.1 does not allow is no token of any issuer.
        if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
            return Err(CredentialFault::Malformed.into());
        }
        let digest = self.answers.digest(token);
        match self.answers.find(&digest, attempt.now_unix_ms()) {
            Some(Answer::Active { claims, fresh_until_ms }) => {
                let mut judged = self.standing.judge(index, (*claims).clone(), attempt.now_ms())?;
                let fresh_until = i64::try_from(fresh_until_ms).unwrap_or(i64::MAX);
                judged.valid_until_ms = judged.valid_until_ms.min(fresh_until);
                Ok(attempt.remember(self.proof(), judged))
            }
            Some(Answer::Inactive) => Err(CredentialFault::NotActive.into()),
            None => {
                let token = String::from_utf8_lossy(token).into_owned();
                attempt.want(Wanted::Token(WantedToken { identity: index, digest, token: Secret(token) }));
                Err(Failure::Unjudged(Unjudged::NotIntrospected))
            }
        }
    }

    fn proof(&self) -> Proof {
        Proof { identity: self.generation, keys: 0 }
    }
}

#[derive(Clone)]
pub(super) enum Answer {
    Active { claims: Arc<Claims>, fresh_until_ms: u64 },
    Inactive,
}

struct Known {
    digest: KeyedHash,
    claims: Arc<Claims>,
    fresh_until_ms: u64,
}

struct Refused {
    digest: KeyedHash,
    until_ms: u64,
}

impl Hashed for Known {
    fn hash(&self) -> &KeyedHash {
        &self.digest
    }
}

impl Hashed for Refused {
    fn hash(&self) -> &KeyedHash {
        &self.digest
    }
}

#[derive(Default)]
struct Shard {
    known: Generations<Known>,
    refused: Generations<Refused>,
}

/// Bounds of the configuration, which may change while tokens are known.
#[derive(Default)]
struct Bounds {
    tokens: AtomicUsize,
    refused: AtomicUsize,
    ttl_ms: AtomicU64,
    refused_ttl_ms: AtomicU64,
}

/// What one issuer has said about the tokens of one identity. Outlives snapshots; another issuer has another table.
pub struct OpaqueTokens {
    /// Nobody outside can choose tokens whose digests meet.
    seed: [u8; HASH],
    shards: Shards<Shard>,
    bounds: Bounds,
    askers: Mutex<Askers>,
}

impl OpaqueTokens {
    /// Refuses where the system has no random numbers.
    pub(super) fn new() -> Result<Self, String> {
        let mut seed = [0; HASH];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| "there are no random numbers")?;
        Ok(Self { seed, shards: Shards::default(), bounds: Bounds::default(), askers: Mutex::default() })
    }

    /// Follows the configuration. What is known stays; what is too much goes when more is learned.
    fn configure(&self, document: &IntrospectionDocument) {
        self.bounds.tokens.store(document.cache_tokens as usize, Relaxed);
        self.bounds.refused.store(document.cache_refused as usize, Relaxed);
        self.bounds.ttl_ms.store(document.cache_ttl_ms, Relaxed);
        self.bounds.refused_ttl_ms.store(document.refused_ttl_ms, Relaxed);
    }

    fn digest(&self, token: &[u8]) -> KeyedHash {
        let mut context = Context::new(&SHA256);
        context.update(&self.seed);
        context.update(token);
        let mut digest = [0; HASH];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    pub(super) fn find(&self, digest: &KeyedHash, now_ms: u64) -> Option<Answer> {
        let mut shard = self.shards.at(digest);
        if let Some(known) = shard.known.find(digest).filter(|known| now_ms < known.fresh_until_ms) {
            let (claims, fresh_until_ms) = (Arc::clone(&known.claims), known.fresh_until_ms);
            return Some(Answer::Active { claims, fresh_until_ms });
        }
        let refused = shard.refused.find(digest).filter(|refused| now_ms < refused.until_ms);
        refused.map(|_| Answer::Inactive)
    }

    /// What the issuer says: the claims of an active token as JSON, or nothing. Refuses what is no object without
    /// repeated members.
    pub fn learn(&self, digest: KeyedHash, claims: Option<&str>, now_ms: u64) -> Result<(), String> {
        let until = |most: &AtomicU64| now_ms.saturating_add(most.load(Relaxed));
        let claims = claims
            .map(|text| Claims::parse(text.as_bytes()).ok_or("the claims are no object"))
            .transpose()?;
        let mut shard = self.shards.at(&digest);
        shard.known.remove(&digest);
        shard.refused.remove(&digest);
        match claims {
            Some(claims) => {
                let (claims, fresh_until_ms) = (Arc::new(claims), until(&self.bounds.ttl_ms));
                let most = self.bounds.tokens.load(Relaxed) / SHARDS;
                shard.known.insert(Known { digest, claims, fresh_until_ms }, most);
            }
            None => {
                let until_ms = until(&self.bounds.refused_ttl_ms);
                let most = self.bounds.refused.load(Relaxed) / SHARDS;
                shard.refused.insert(Refused { digest, until_ms }, most);
            }
        }
        Ok(())
    }

    /// May the issuer be asked once more for a client of this address? At most `most` times in a second.
    pub fn may_ask(&self, client: IpAddr, most: u32, now_ms: u64) -> bool {
        lock(&self.askers).may_ask(client, most, now_ms)
    }

    /// Good tokens and refused ones that are remembered.
    pub fn size(&self) -> (u64, u64) {
        let sizes = self.shards.iter().map(|shard| (shard.known.len() as u64, shard.refused.len() as u64));
        sizes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}
