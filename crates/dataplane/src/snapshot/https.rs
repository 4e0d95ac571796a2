//! Routes that are not for requests that came in plain (LT-2).

use std::sync::Arc;

use crate::refusal::{Forbidden, Refusal};
use crate::request::{Method, Request, Scheme};
use crate::snapshot::Listener;
use crate::snapshot::document::HttpsOnlyDocument;
use crate::snapshot::listeners::Redirection;

#[derive(Debug)]
pub struct HttpsOnly {
    /// Where reads are sent on to. Anything else has sent its body in plain already, and should learn that.
    redirection: Option<Redirection>,
}

impl HttpsOnly {
    pub fn compile(document: HttpsOnlyDocument, listeners: &[Arc<Listener>]) -> Option<Self> {
        match document {
            HttpsOnlyDocument::Off => None,
            HttpsOnlyDocument::Refuse => Some(Self { redirection: None }),
            HttpsOnlyDocument::Redirect(port) => {
                let listeners = listeners.iter().map(|listener| &**listener);
                Some(Self { redirection: Some(Redirection::compile(port, listeners)) })
            }
        }
    }

    /// A proxy that we trust may have ended TLS already.
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        if request.scheme == Scheme::Https {
            return Ok(());
        }
        let is_read = matches!(request.method, Method::Get | Method::Head) && !request.extended;
        let redirection = self.redirection.as_ref().filter(|_| is_read && !request.is_grpc());
        let location = redirection.map(|there| there.location(request)).transpose()?;
        Err(Refusal::Forbidden(Forbidden::Plain { location: location.map(Into::into) }))
    }
}
