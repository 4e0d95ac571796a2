//! Logins of browsers by OpenID Connect, and the sessions that they leave in sealed cookies.
//! No stage: `authenticate` reads sessions, and the pipeline sends browsers to the provider and back.
//!
//! A session is in its cookies alone, so that every node with the same secret knows it and none has to remember it. There are
//! two: one says who has logged in and is read for each request; the other, which may take several cookies, has what the
//! provider gave, and is opened only to ask the provider for more.

mod content;
mod jar;
mod login;
mod seal;
mod url;

#[cfg(test)]
mod tests;

pub use content::{Pending, Session, Tokens};
pub use login::{Handoff, Login, Provider, Standing};
pub use url::{is_local, parameter};
