//! What a route demands beside host and path.

use super::methods::MethodSet;
use super::values::ValueMatches;
use crate::snapshot::document::MatchDocument;

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) methods: MethodSet,
    pub(super) values: ValueMatches,
    /// Names of the path parameters, in order.
    pub(super) names: Vec<Box<str>>,
}

impl Rule {
    pub(super) fn compile(document: &MatchDocument, names: Vec<Box<str>>) -> Result<Self, String> {
        let methods = MethodSet::parse(&document.methods)?;
        Ok(Self { methods, values: ValueMatches::compile(document)?, names })
    }
}
