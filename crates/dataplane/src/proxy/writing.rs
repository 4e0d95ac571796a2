//! How writing to a service goes on, alike for every protocol.

/// Body bytes that wait to be written to the service.
pub const UPLOAD_WINDOW: usize = 64 * 1024;

/// What one step of writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing waits to be written.
    Done,
    Moved,
}

/// The service takes no more of the request; what it answered may still be there to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;
