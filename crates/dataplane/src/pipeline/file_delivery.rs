//! Files to a client: opened and read on threads that may block, sent as fast as the client takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::exchange::Exchange;
use crate::pipeline::account::Visit;
use crate::pipeline::end::End;
use crate::pipeline::watch::Watch;
use crate::pipeline::{Local, delivery};
use crate::refusal::{Reason, Refusal, Shortage, Unavailable};
use crate::request::{Method, Request};
use crate::respond::files::answer::Answer;
use crate::respond::files::{Files, Found, Missing, Opened, PIECE, Wanted};
use crate::trail::{Awaited, Cause, Rule, Stage, Trail};
use crate::worker::Worker;

/// A client that is told to try again tries again after this long.
const LATER: Duration = Duration::from_secs(1);

const CAUSE: Cause = Cause { stage: Stage::Respond, rule: Rule::None, awaited: Awaited::Disk };

/// Answers with a file of a route. At most `max_file_transfers` are under way on the node; each has one read at a time
/// and one piece in memory.
pub async fn serve<E: Exchange>(
    worker: &Worker,
    visit: &Visit,
    request: &Request,
    files: &Arc<Files>,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    if !matches!(request.method, Method::Get | Method::Head) {
        return Err(Refusal::MethodNotAllowed { allow: "GET, HEAD".into() }.into());
    }
    let wanted = files.wanted(request).ok_or(Refusal::NoFile)?;
    let _transfer = Transfer::begin(&worker.node.file_transfers, visit.snapshot.bounds.file_transfers)?;
    match open(files, wanted, (visit, &mut local.account.trail)).await? {
        Found::Directory => {
            let answer = delivery::to_directory();
            delivery::fixed(worker, visit, request, &answer, (exchange, local)).await
        }
        Found::File(opened) => {
            let answer = files.answer(request, &opened, visit.facts.unix_ms / 1000)?;
            local.account.file(&opened.name());
            local.account.status = answer.status;
            let date = worker.date(visit.facts.unix_ms);
            let facts = delivery::facts(worker, visit, request, local, &date);
            files.write_head(exchange, &facts, &opened, &answer);
            send(visit, answer, opened, (exchange, local)).await
        }
    }
}

async fn open(
    files: &Arc<Files>,
    wanted: Wanted,
    (visit, trail): (&Visit, &mut Trail),
) -> Result<Found, Refusal> {
    let files = Arc::clone(files);
    let opened = tokio::task::spawn_blocking(move || files.open(&wanted));
    match Watch::new(trail, visit.began, CAUSE).over(opened).await.0 {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(Missing::File)) => Err(Refusal::NoFile),
        Ok(Err(Missing::Descriptors)) => {
            Err(Refusal::ServiceUnavailable { cause: Unavailable::NoDescriptor, retry_after: LATER })
        }
        Ok(Err(Missing::Broken)) | Err(_) => Err(Refusal::Internal),
    }
}

async fn send<E: Exchange>(
    visit: &Visit,
    answer: Answer,
    mut opened: Opened,
    (exchange, local): (&mut E, &mut Local),
) -> Result<(), End> {
    let mut buffer = opened.take_first();
    let mut first = (!buffer.is_empty()).then_some(0);
    let opened = Arc::new(opened);
    for part in &answer.parts {
        delivery::send_piece(visit, &part.before, exchange, local).await?;
        let (mut offset, end) = (part.offset, part.offset + part.length);
        while offset < end {
            // What was read ahead is sent first, if it is what is wanted.
            if first.take() != Some(offset) {
                buffer = read(&opened, offset, end - offset, buffer).await?;
            }
            let length = buffer.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
            delivery::send_piece(visit, buffer.get(..length).unwrap_or_default(), exchange, local).await?;
            offset += length as u64;
        }
    }
    delivery::send(visit, &answer.tail, exchange, local).await
}

/// The connection is cut where the file has changed: its length was told, and half of an old file with half of a new
/// one is no file.
async fn read(opened: &Arc<Opened>, offset: u64, left: u64, buffer: Vec<u8>) -> Result<Vec<u8>, End> {
    let opened = Arc::clone(opened);
    let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let read = tokio::task::spawn_blocking(move || opened.read(offset, length, buffer)).await;
    read.map_err(|_| End::FileChanged)?.map_err(|_| End::FileChanged)
}

/// A file on its way out; counted out however that ends.
struct Transfer<'a>(&'a AtomicU32);

impl<'a> Transfer<'a> {
    fn begin(under_way: &'a AtomicU32, maximum: u32) -> Result<Self, Refusal> {
        let transfer = Self(under_way);
        let before = under_way.fetch_add(1, Ordering::Relaxed);
        if before >= maximum {
            let reason = Reason::InFlight;
            let shortage = Shortage { reason, value: before, threshold: maximum, resumes: maximum };
            return Err(Refusal::Overloaded { shortage, retry_after: LATER });
        }
        Ok(transfer)
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
