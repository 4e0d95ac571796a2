//! What connections on both sides are made of: buffers that are lent and given back, and one timer each.

pub mod buffer;
pub mod timer;
