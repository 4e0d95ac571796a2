//! When a route sends a request more often than once, compiled.

use std::time::Duration;

use crate::balance::BudgetRules;
use crate::proxy::retry::{Backoff, Cause, Hedge, Retry};
use crate::snapshot::document::{BudgetDocument, HedgeDocument, RetryCauseDocument, RetryDocument};

pub(super) fn compile(document: &RetryDocument) -> Retry {
    let methods = document.methods.as_ref();
    Retry {
        attempts: document.attempts,
        causes: document.causes.iter().map(|cause| compile_cause(*cause)).collect(),
        statuses: document.statuses.clone(),
        grpc_statuses: document.grpc_statuses.clone(),
        methods: methods.map(|list| list.iter().map(|method| method.as_bytes().into()).collect()),
        per_try_timeout: document.per_try_timeout_ms.map(Duration::from_millis),
        backoff: Backoff {
            base: Duration::from_millis(document.backoff_base_ms),
            max: Duration::from_millis(document.backoff_max_ms),
        },
        budget: compile_budget(&document.budget),
        max_body: usize::try_from(document.max_body_bytes).unwrap_or(usize::MAX),
    }
}

pub(super) fn compile_hedge(document: &HedgeDocument) -> Hedge {
    Hedge {
        delay: Duration::from_millis(document.delay_ms),
        attempts: document.attempts,
        budget: compile_budget(&document.budget),
    }
}

fn compile_budget(document: &BudgetDocument) -> BudgetRules {
    BudgetRules {
        // Checked above to be a share; thousandths are as fine as a share need be.
        per_request: (document.ratio * 1_000.0).round() as u32,
        per_second: document.minimum_per_second,
    }
}

fn compile_cause(cause: RetryCauseDocument) -> Cause {
    match cause {
        RetryCauseDocument::ConnectFailure => Cause::ConnectFailure,
        RetryCauseDocument::Reset => Cause::Reset,
        RetryCauseDocument::Timeout => Cause::Timeout,
    }
}
