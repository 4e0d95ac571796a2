//! The path segments that `{name}` bound.

use smallvec::SmallVec;

use crate::request::Span;

/// How many `{name}` segments one route may have; more are refused when the table is compiled.
pub const MAX_PARAMETERS: usize = 16;
/// So many need no memory of their own; hardly any route has more.
const USUAL: usize = 4;

/// Bound segments in the order of the path. Each span points into the request's own text: `request.str(span)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(SmallVec<[Span; USUAL]>);

impl Parameters {
    pub fn as_slice(&self) -> &[Span] {
        &self.0
    }

    pub(super) fn push(&mut self, span: Span) {
        self.0.push(span);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&other.0);
    }
}
