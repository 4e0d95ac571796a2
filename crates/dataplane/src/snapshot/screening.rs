//! What a snapshot says of addresses outside its routes.

use std::sync::Arc;

use crate::addresses::Blocklist;
use crate::authorize::{Grounds, Screen};
use crate::record::Registry;
use crate::snapshot::document::SnapshotDocument;
use crate::snapshot::{Counted, Lasting, Named};

pub struct Screening {
    pub blocks: Arc<Blocklist>,
    pub grounds: Grounds,
    /// Of every request.
    pub all: Option<Box<Screen>>,
    /// The lists, as records and metrics speak of them.
    pub entries: Vec<Counted>,
    pub record_country: bool,
    /// Tells services the country; lower case.
    pub country_header: Option<Box<[u8]>>,
}

impl Screening {
    pub(super) fn compile(document: &SnapshotDocument, lasting: &Lasting<'_>) -> Result<Self, String> {
        let screening = &document.screening;
        let grounds = Grounds::compile(screening, lasting.addresses)?;
        let all = screening.all.as_ref().map(|all| Screen::compile(all, &grounds)).transpose()?;
        Ok(Self {
            blocks: Arc::clone(lasting.blocks),
            grounds,
            all: all.map(Box::new),
            entries: entries(document, lasting.metrics),
            record_country: screening.record_country,
            country_header: screening.country_header.as_deref().map(|name| name.as_bytes().into()),
        })
    }
}

fn entries(document: &SnapshotDocument, metrics: &Registry) -> Vec<Counted> {
    let lists = document.screening.lists.iter();
    lists
        .map(|list| Counted {
            named: Named::new(&list.name, &list.at),
            refused: metrics.address_list(&list.name),
        })
        .collect()
}
