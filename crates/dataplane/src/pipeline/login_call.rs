//! What a provider posts to the gateway: a form with one logout token.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use crate::exchange::{BodyFault, Exchange, Piece};
use crate::io::timer::Timer;
use crate::pipeline::Local;
use crate::pipeline::account::Visit;
use crate::pipeline::end::End;
use crate::pipeline::login::waiting;
use crate::pipeline::watch::Watch;
use crate::refusal::Refusal;
use crate::request::{Method, Request};
use crate::session::{Login, parameter};
use crate::trail::Awaited;

/// Bytes of the form; a token of a logout has a few hundred.
pub const MAX_FORM: u64 = 64 * 1024;

/// The token, once the whole form is there; empty where there is none.
pub async fn read<E: Exchange>(
    visit: &Visit,
    request: &Request,
    login: &Login,
    (exchange, local): (&mut E, &mut Local),
) -> Result<String, End> {
    if request.method != Method::Post {
        return Err(Refusal::MethodNotAllowed { allow: "POST".into() }.into());
    }
    exchange.limit_body(MAX_FORM);
    let Local { account, timer, .. } = local;
    let form = pin!(body(visit, exchange, timer));
    let cause = waiting(login, Awaited::Body);
    let form = Watch::new(&mut account.trail, visit.began, cause).over(form).await.0?;
    let form = std::str::from_utf8(&form).ok();
    Ok(form.and_then(|form| parameter(form, "logout_token")).unwrap_or_default())
}

async fn body<E: Exchange>(visit: &Visit, exchange: &mut E, timer: &mut Timer) -> Result<Vec<u8>, End> {
    let mut form = Vec::new();
    timer.set(Instant::now() + visit.listener.body_timeout);
    poll_fn(|context| {
        loop {
            let count = match exchange.poll_body(context) {
                Poll::Ready(Ok(Piece::Data(data))) => {
                    form.extend_from_slice(data);
                    data.len()
                }
                Poll::Ready(Ok(Piece::End)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(BodyFault::Gone)) => return Poll::Ready(Err(End::ClientGone)),
                Poll::Ready(Err(BodyFault::Refused(refusal))) => return Poll::Ready(Err(refusal.into())),
                Poll::Pending => return timer.poll(context).map(|()| Err(Refusal::Slow("body").into())),
            };
            exchange.consume_body(count);
        }
    })
    .await?;
    Ok(form)
}
