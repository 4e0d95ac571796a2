//! What is known of addresses: lists of networks, their countries, their reputation, and who is blocked by hand. Read by
//! `authorize` and shared by all workers; files are read off the path and swapped in by one pointer.

mod blocks;
mod countries;
mod list;
mod networks;
mod ranges;
mod reading;
mod registry;
mod scores;
#[cfg(test)]
mod tests;

pub use blocks::Blocklist;
pub use countries::{Countries, Country};
pub use list::AddressList;
pub use registry::{Kept, Registry, Size, Source};
pub use scores::Scores;
