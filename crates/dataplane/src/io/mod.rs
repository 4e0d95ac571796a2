//! What connections on both sides are made of: a stream, buffers that are lent and given back, and one timer each.

pub mod address;
pub mod buffer;
pub mod dial;
pub mod replay;
pub mod socket;
pub mod stream;
pub mod timer;
