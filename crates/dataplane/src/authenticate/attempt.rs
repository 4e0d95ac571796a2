//! One credential on its way through the identities that may know it.

use std::net::IpAddr;
use std::sync::Arc;

use super::cache::{NewEntry, Proof, Sought, TokenCache, Wanted};
use super::claims::issuer_of;
use super::session::Renewed;
use super::standing::{Judged, Watch};
use super::token::{MAX_TOKEN, Token};
use crate::caller::Caller;
use crate::request::Request;

pub(super) struct Attempt<'a> {
    credential: &'a [u8],
    request: &'a Request,
    cache: &'a mut TokenCache,
    now_ms: i64,
    renewed: Option<&'a Renewed>,
    hash: Option<u64>,
    has_proof: bool,
}

impl<'a> Attempt<'a> {
    /// `credential`: what a `Source` found in the request.
    pub(super) fn new(
        credential: &'a [u8],
        request: &'a Request,
        cache: &'a mut TokenCache,
        now_unix_ms: u64,
    ) -> Self {
        let now_ms = i64::try_from(now_unix_ms).unwrap_or(i64::MAX);
        Self { credential, request, cache, now_ms, renewed: None, hash: None, has_proof: false }
    }

    /// The same of a request for which the provider of its session was asked.
    pub(super) fn after(self, renewed: Option<&'a Renewed>) -> Self {
        Self { renewed, ..self }
    }

    pub(super) fn renewed(&self) -> Option<&'a Renewed> {
        self.renewed
    }

    /// A proof is sent with the credential, or so its scheme says.
    pub(super) fn with_proof(self, has_proof: bool) -> Self {
        Self { has_proof, ..self }
    }

    pub(super) fn has_proof(&self) -> bool {
        self.has_proof
    }

    pub(super) fn credential(&self) -> &'a [u8] {
        self.credential
    }

    /// For identities that judge by more than the credential.
    pub(super) fn request(&self) -> &'a Request {
        self.request
    }

    /// Where the request comes from.
    pub(super) fn client(&self) -> IpAddr {
        self.request.client
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    pub(super) fn now_unix_ms(&self) -> u64 {
        u64::try_from(self.now_ms).unwrap_or(u64::MAX)
    }

    /// Leaves word that this has to be looked up.
    pub(super) fn want(&mut self, wanted: Wanted) {
        self.cache.want(wanted);
    }

    /// Whom the same token proved before, if it still does.
    pub(super) fn remembered(&mut self, proof: Proof, watch: &Watch) -> Option<Arc<Caller>> {
        let sought = Sought { hash: self.hash()?, token: self.credential, proof, watch };
        self.cache.get(&sought, self.now_ms)
    }

    pub(super) fn remember(&mut self, proof: Proof, judged: Judged) -> Arc<Caller> {
        match self.hash() {
            None => Arc::new(judged.caller),
            Some(hash) => {
                let entry = NewEntry { hash, token: self.credential, proof, judged };
                self.cache.insert(entry, self.now_ms)
            }
        }
    }

    /// The hash in the cache, made once for all identities. `None` where a token is too long to be worth it.
    fn hash(&mut self) -> Option<u64> {
        if self.credential.len() > MAX_TOKEN {
            return None;
        }
        Some(*self.hash.get_or_insert_with(|| self.cache.hash(self.credential)))
    }

    /// Unverified, and read only where several identities could be meant; what is wrong with the token is left for
    /// the identity that judges it.
    pub(super) fn issuer_to_choose_by(&self, identities: usize) -> Option<String> {
        if identities < 2 {
            return None;
        }
        let claims = Token::read(self.credential).ok()?.claims().ok()?;
        issuer_of(&claims).ok()?.map(str::to_owned)
    }
}
