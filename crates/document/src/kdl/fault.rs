//! What is wrong with a text, and where.

/// The first thing wrong, and its byte offset.
#[derive(Debug)]
pub(super) struct Fault {
    pub offset: usize,
    pub message: String,
}

pub(super) type Checked<T> = Result<T, Fault>;

pub(super) fn fault<T>(offset: usize, message: impl Into<String>) -> Checked<T> {
    Err(Fault { offset, message: message.into() })
}
