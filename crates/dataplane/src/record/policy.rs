//! What records tell of their requests, and what they keep to themselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::sampling::Sampler;
use super::secrets::Secrets;
use super::users::UserHash;
use crate::snapshot::document::{RecordingDocument, RouteRecordingDocument, RouteSampleDocument};

/// Of requests without a route, or of a route.
#[derive(Debug)]
pub struct Policy {
    common: Arc<Common>,
    /// The route sees card data: nothing by which that could get into a record is told.
    is_pci: bool,
    /// `None`: every request is recorded.
    sampler: Option<Arc<Sampler>>,
}

/// What all policies of a snapshot have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) secrets: Secrets,
    /// Headers that are told, by their names in lower case.
    pub(super) request_headers: Box<[Box<str>]>,
    pub(super) response_headers: Box<[Box<str>]>,
    has_headers: bool,
    masks_cards: bool,
    shortens_addresses: bool,
    hashes_users: bool,
    users: Option<UserHash>,
}

impl Policy {
    /// `parameters` and `headers` are where the identities of the snapshot look for credentials. Refuses to hash without a
    /// key.
    pub fn compile(
        document: &RecordingDocument,
        parameters: Box<[Box<str>]>,
        headers: &[&str],
    ) -> Result<Self, String> {
        let names = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        let secret_headers =
            headers.iter().copied().chain(document.secret_headers.iter().map(String::as_str));
        let common = Common {
            secrets: Secrets::new(parameters, &document.secret_parameters, secret_headers),
            request_headers: names(&document.request_headers),
            response_headers: names(&document.response_headers),
            has_headers: !(document.request_headers.is_empty() && document.response_headers.is_empty()),
            masks_cards: document.mask_cards,
            shortens_addresses: document.shorten_addresses,
            hashes_users: document.hash_users,
            users: document.user_key.as_ref().map(UserHash::compile),
        };
        let sampler = document.sample.as_ref().map(|sample| Arc::new(Sampler::compile(sample)));
        let policy = Self { common: Arc::new(common), is_pci: document.pci, sampler };
        policy.checked()
    }

    /// That of a route, which counts what it samples together with all others unless it has a rule of its own.
    pub fn of_route(&self, document: Option<&RouteRecordingDocument>) -> Result<Self, String> {
        let (common, sampler) = (Arc::clone(&self.common), self.sampler.clone());
        let Some(document) = document else { return Ok(Self { common, is_pci: self.is_pci, sampler }) };
        let sampler = match &document.sample {
            RouteSampleDocument::Common => sampler,
            RouteSampleDocument::Off => None,
            RouteSampleDocument::Own(sample) => Some(Arc::new(Sampler::compile(sample))),
        };
        Self { common, is_pci: document.pci, sampler }.checked()
    }

    fn checked(self) -> Result<Self, String> {
        if (self.is_pci || self.common.hashes_users) && self.common.users.is_none() {
            return Err("records: there is no key to hash users with".to_owned());
        }
        Ok(self)
    }

    pub fn sampler(&self) -> Option<&Sampler> {
        self.sampler.as_deref()
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    /// Query, user agent and headers are told.
    pub(super) fn tells_texts(&self) -> bool {
        !self.is_pci
    }

    pub(super) fn masks_cards(&self) -> bool {
        self.is_pci || self.common.masks_cards
    }

    /// Cards are looked for even where nobody would expect one.
    pub(super) fn masks_everywhere(&self) -> bool {
        self.is_pci
    }

    pub(super) fn tells_headers(&self) -> bool {
        self.tells_texts() && self.common.has_headers
    }

    /// The client's address, as far as it is told.
    pub(super) fn address(&self, address: IpAddr) -> IpAddr {
        if !self.is_pci && !self.common.shortens_addresses {
            return address;
        }
        match address {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !0xFF)),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80)),
        }
    }

    /// What users are hashed with; `None`: they are told.
    pub(super) fn users(&self) -> Option<&UserHash> {
        self.common.users.as_ref().filter(|_| self.is_pci || self.common.hashes_users)
    }
}

/// Tells everything that is no secret.
impl Default for Policy {
    fn default() -> Self {
        let common = Common {
            secrets: Secrets::default(),
            request_headers: Box::default(),
            response_headers: Box::default(),
            has_headers: false,
            masks_cards: true,
            shortens_addresses: false,
            hashes_users: false,
            users: None,
        };
        Self { common: Arc::new(common), is_pci: false, sampler: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::document::{RotateDocument, SampleByDocument, SampleDocument, UserKeyDocument};

    fn key() -> Option<UserKeyDocument> {
        Some(UserKeyDocument { id: "k".to_owned(), secret: "s".to_owned(), rotate: RotateDocument::Never })
    }

    fn compile(document: &RecordingDocument) -> Result<Policy, String> {
        Policy::compile(document, Box::default(), &[])
    }

    #[test]
    fn a_shortened_address_keeps_its_network() {
        let document = RecordingDocument { shorten_addresses: true, ..RecordingDocument::default() };
        let policy = compile(&document).expect("compiled");
        for (address, told) in
            [("203.0.113.42", "203.0.113.0"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"), ("::1", "::")]
        {
            assert_eq!(policy.address(address.parse().expect(address)), told.parse::<IpAddr>().expect(told));
        }
        let full = Policy::default();
        assert_eq!(full.address(IpAddr::V4(Ipv4Addr::LOCALHOST)), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn hashing_needs_a_key() {
        for document in [
            RecordingDocument { hash_users: true, ..RecordingDocument::default() },
            RecordingDocument { pci: true, ..RecordingDocument::default() },
        ] {
            assert!(compile(&document).is_err());
            assert!(compile(&RecordingDocument { user_key: key(), ..document }).is_ok());
        }
        let route = RouteRecordingDocument { pci: true, sample: RouteSampleDocument::Common };
        assert!(Policy::default().of_route(Some(&route)).is_err());
    }

    #[test]
    fn a_route_samples_with_all_others_or_by_itself_or_not() {
        let sample = SampleDocument { full_rate: 1, ratio: 0.5, by: SampleByDocument::Request };
        let document = RecordingDocument { sample: Some(sample.clone()), ..RecordingDocument::default() };
        let common = compile(&document).expect("compiled");
        let of = |sample| {
            let route = RouteRecordingDocument { pci: false, sample };
            let policy = common.of_route(Some(&route)).expect("compiled");
            policy.sampler().map(|own| common.sampler().is_some_and(|all| std::ptr::eq(own, all)))
        };
        assert_eq!(of(RouteSampleDocument::Common), Some(true));
        assert_eq!(of(RouteSampleDocument::Off), None);
        assert_eq!(of(RouteSampleDocument::Own(sample)), Some(false));
    }

    #[test]
    fn the_profile_for_card_data_of_a_route_hashes_although_others_do_not() {
        let document = RecordingDocument { user_key: key(), ..RecordingDocument::default() };
        let common = compile(&document).expect("compiled");
        assert!(common.users().is_none() && common.tells_texts());
        let route = RouteRecordingDocument { pci: true, sample: RouteSampleDocument::Common };
        let policy = common.of_route(Some(&route)).expect("compiled");
        assert!(policy.users().is_some() && !policy.tells_texts() && policy.masks_cards());
    }
}
