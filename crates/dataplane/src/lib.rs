//! The per-request half of Gatewright. Start reading at [`pipeline`]: it names every stage, in order.
#![forbid(unsafe_code)]

pub mod authenticate;
pub mod authorize;
pub mod balance;
pub mod caller;
pub mod exchange;
pub mod http1;
pub mod intake;
pub mod limit;
pub mod record;
pub mod refusal;
pub mod request;
pub mod route;
pub mod snapshot;
pub mod trail;
