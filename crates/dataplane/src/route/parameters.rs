//! The path segments that `{name}` bound, without allocating.

use crate::request::Span;

/// How many `{name}` segments one route may have; more are refused when the table is compiled.
pub const MAX_PARAMETERS: usize = 16;

/// Bound segments in the order of the path. Each span points into the request's own text: `request.str(span)`.
#[derive(Clone, Copy, Default)]
pub struct Parameters {
    spans: [Span; MAX_PARAMETERS],
    length: u8,
}

impl Parameters {
    pub fn as_slice(&self) -> &[Span] {
        self.spans.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The table refuses routes with more names than there is room for, so a full list never meets another push.
    pub(super) fn push(&mut self, span: Span) {
        if let Some(free) = self.spans.get_mut(usize::from(self.length)) {
            *free = span;
            self.length += 1;
        }
    }

    pub(super) fn pop(&mut self) {
        self.length = self.length.saturating_sub(1);
    }

    /// Copies only what is bound: the whole array would cost more than most look-ups.
    pub(super) fn copy_from(&mut self, other: &Self) {
        for (to, from) in self.spans.iter_mut().zip(other.as_slice()) {
            *to = *from;
        }
        self.length = other.length;
    }
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Parameters {}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.as_slice()).finish()
    }
}
