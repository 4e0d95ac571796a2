//! Bodies of signed requests: all of one is read and held against its digest before the service sees any of it.

use std::pin::pin;
use std::time::Instant;

use aws_lc_rs::digest::{self, Algorithm};

use crate::authenticate::digest_of_body;
use crate::exchange::Exchange;
use crate::pipeline::account::Account;
use crate::pipeline::end::{End, end_of};
use crate::pipeline::trip::Trip;
use crate::pipeline::watch::Watch;
use crate::proxy::attempt::{Means, Store};
use crate::proxy::{self, Forward};
use crate::refusal::{CredentialFault, CredentialKind, Refusal};
use crate::request::Request;
use crate::trail::{Awaited, Cause, Rule, Stage};

const DIGEST: &[u8] = b"content-digest";

/// The longest body that is held against its digest, where the caller has proved itself with a signature.
pub fn most(trip: &Trip<'_>) -> Option<u64> {
    let identity = trip.permit.grant().caller().identity?;
    trip.visit.snapshot.identity_entries.get(identity as usize)?.max_signed_body
}

/// Reads a body of at most so many bytes into memory, and checks it. Gives what stands for that memory while it is used.
pub async fn gather<'t, E: Exchange>(
    trip: &Trip<'t>,
    most: u64,
    forward: &mut Forward<'_>,
    means: &mut Means<'_, E>,
    account: &mut Account,
) -> Result<Store<'t>, End> {
    let (node, room) = (&trip.worker.node.kept_bodies, trip.visit.snapshot.bounds.kept_bodies);
    let mut store = Store::new(usize::try_from(most).unwrap_or(usize::MAX), node, room);
    let identity = trip.permit.grant().caller().identity;
    let rule = identity.map_or(Rule::None, Rule::Identity);
    let cause = Cause { stage: Stage::Authenticate, rule, awaited: Awaited::Body };
    let watch = Watch::new(&mut account.trail, trip.visit.began, cause);
    watch.over(pin!(proxy::gather(means, &forward.patience, &mut store))).await.0.map_err(end_of)?;
    check(trip.request, means.body).map_err(|fault| {
        End::Refused(Refusal::Unauthenticated { kind: CredentialKind::Signature, identity, fault })
    })?;
    // The service's time begins now: the client has had its own.
    forward.now = Instant::now();
    Ok(store)
}

/// Every digest that is understood has to be right, and one has to be.
fn check(request: &Request, body: &[u8]) -> Result<(), CredentialFault> {
    let mut values = request.values(DIGEST);
    let Some(value) = values.next() else { return Ok(()) };
    if values.next().is_some() {
        return Err(CredentialFault::Repeated);
    }
    let algorithms: [(&str, &Algorithm); 2] = [("sha-256", &digest::SHA256), ("sha-512", &digest::SHA512)];
    let mut is_checked = false;
    for (name, algorithm) in algorithms {
        let Some(told) = digest_of_body(value, name)? else { continue };
        if digest::digest(algorithm, body).as_ref() != told {
            return Err(CredentialFault::WrongDigest);
        }
        is_checked = true;
    }
    if is_checked { Ok(()) } else { Err(CredentialFault::WrongDigest) }
}
