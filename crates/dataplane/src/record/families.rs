//! Metrics that others count and that stand on the same page.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::page::{Kind, Labels, Page};

/// One metric with its series; without any it is not printed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    name: String,
    kind: FamilyKind,
    help: String,
    /// Labels, and the value as text, since JSON has no infinity.
    samples: Vec<(BTreeMap<String, String>, String)>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FamilyKind {
    Counter,
    Gauge,
}

impl Family {
    /// Reads a JSON list of them. The error says what is wrong.
    pub fn read(json: &[u8]) -> Result<Vec<Self>, String> {
        serde_json::from_slice(json).map_err(|error| format!("metrics: {error}"))
    }

    pub(super) fn print(&self, page: &mut Page) {
        if self.samples.is_empty() {
            return;
        }
        let kind = match self.kind {
            FamilyKind::Counter => Kind::Counter,
            FamilyKind::Gauge => Kind::Gauge,
        };
        page.heading(&self.name, kind, &self.help);
        for (pairs, value) in &self.samples {
            let labels =
                pairs.iter().fold(Labels::default(), |labels, (name, value)| labels.and(name, value));
            page.real(&self.name, &labels, value.parse().unwrap_or(f64::NAN));
        }
    }
}
