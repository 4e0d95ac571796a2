//! HTTP/1.1 on the wire, for both sides: where a head ends, its tokens, chunked bodies. Decides nothing about meaning.

pub(crate) mod block;
pub mod body;
pub mod chunk_writer;
pub mod chunked;
pub mod fields;
pub mod head_end;
pub mod reason;
pub mod request_head;
pub mod request_names;
pub mod response_framing;
pub mod response_head;
pub mod response_names;
pub mod trailers;
pub(crate) mod usual;
