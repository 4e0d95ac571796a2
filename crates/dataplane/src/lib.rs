//! The per-request half of Gatewright. Start reading at [`pipeline`]: it names every stage, in order.
#![forbid(unsafe_code)]

pub mod addresses;
pub mod authenticate;
pub mod authorize;
pub mod balance;
mod by_name;
pub mod caller;
pub mod claims;
pub mod engine;
pub mod exchange;
pub mod http1;
pub mod intake;
mod io;
pub mod limit;
pub mod listener;
mod micros;
pub mod node;
pub mod pipeline;
pub mod proxy;
mod query;
pub mod questions;
pub mod record;
pub mod refusal;
pub mod request;
pub mod respond;
pub mod route;
pub mod self_check;
pub mod session;
pub mod shared_store;
pub mod shed;
pub mod snapshot;
pub mod tenant;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod trail;
pub mod websocket;
pub mod worker;
