//! Screen: may this address ask here at all? Decided before anything is known of the caller, so that who is kept out
//! costs nobody a limit or a look-up.
//! Takes a request and what is known of addresses. Gives nothing. Refuses with `AddressNotAllowed` and `ChallengeRequired`.

use std::net::IpAddr;
use std::sync::Arc;

use super::proof::Challenge;
use crate::addresses::{AddressList, Countries, Country, Kept, Registry, Scores, Source};
use crate::refusal::{Barrier, Refusal};
use crate::request::Request;
use crate::snapshot::document::{
    AddressListDocument, CountriesDocument, FileDocument, ReputationDocument, ScreenDocument,
    ScreeningDocument,
};
use crate::trail::{Inputs, Rule, Stage, Trail};

enum List {
    Fixed(AddressList),
    File(Arc<Kept<AddressList>>),
}

impl List {
    fn compile(document: &AddressListDocument, registry: &Registry) -> Result<Self, String> {
        let list = match &document.file {
            None => AddressList::compile(document.addresses.iter().map(String::as_str)).map(Self::Fixed),
            Some(file) => registry.list(&document.name, file.source()).map(Self::File),
        };
        list.map_err(|error| format!("{}: addresses `{}`: {error}", document.at, document.name))
    }

    fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Fixed(list) => list.contains(address),
            Self::File(kept) => kept.now().contains(address),
        }
    }
}

impl FileDocument {
    fn source(&self) -> Source {
        Source { path: self.path.clone().into(), most: self.most }
    }
}

/// What screens judge by.
#[derive(Default)]
pub struct Grounds {
    lists: Vec<(Box<str>, List)>,
    countries: Option<Arc<Kept<Countries>>>,
    scores: Option<Arc<Kept<Scores>>>,
    challenge: Option<Challenge>,
}

impl Grounds {
    pub fn compile(document: &ScreeningDocument, registry: &Registry) -> Result<Self, String> {
        let list = |list: &AddressListDocument| {
            List::compile(list, registry).map(|compiled| (list.name.as_str().into(), compiled))
        };
        let file = |file: &FileDocument, error: String| format!("{}: {error}", file.at);
        let countries = document
            .geography
            .as_ref()
            .map(|geography| registry.countries(geography.source()).map_err(|error| file(geography, error)));
        let scores = document
            .reputation
            .as_ref()
            .map(|reputation| registry.scores(reputation.source()).map_err(|error| file(reputation, error)));
        Ok(Self {
            lists: document.lists.iter().map(list).collect::<Result<_, _>>()?,
            countries: countries.transpose()?,
            scores: scores.transpose()?,
            challenge: document.challenge.as_ref().map(|challenge| Challenge::compile(challenge, registry)),
        })
    }

    /// The list of a name, where it is of a file.
    pub fn list(&self, name: &str) -> Option<&Arc<Kept<AddressList>>> {
        self.files().find(|(known, _)| *known == name).map(|(_, kept)| kept)
    }

    /// The lists that are of files.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Arc<Kept<AddressList>>)> {
        self.lists.iter().filter_map(|(name, list)| match list {
            List::Fixed(_) => None,
            List::File(kept) => Some((&**name, kept)),
        })
    }

    pub fn countries(&self) -> Option<&Arc<Kept<Countries>>> {
        self.countries.as_ref()
    }

    pub fn scores(&self) -> Option<&Arc<Kept<Scores>>> {
        self.scores.as_ref()
    }

    /// `None`: nobody knows, or nobody wants to.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        self.countries.as_ref()?.now().country(address)
    }

    /// The first of these lists that has the address.
    fn first(&self, lists: &[u32], address: IpAddr) -> Option<u32> {
        let has = |list: &u32| self.lists.get(*list as usize).is_some_and(|(_, list)| list.contains(address));
        lists.iter().copied().find(has)
    }

    fn named(&self, names: &[String], at: &str) -> Result<Box<[u32]>, String> {
        let place = |name: &String| self.lists.iter().position(|(known, _)| **known == **name);
        let index = |name| {
            let found = place(name).map(|place| place as u32);
            found.ok_or_else(|| format!("{at}: unknown list of addresses `{name}`"))
        };
        names.iter().map(index).collect()
    }
}

#[derive(Debug)]
struct CountryPolicy {
    /// `None`: all that are not denied.
    allow: Option<Box<[Country]>>,
    deny: Box<[Country]>,
    allows_unknown: bool,
}

impl CountryPolicy {
    fn compile(document: &CountriesDocument, at: &str) -> Result<Self, String> {
        let codes = |texts: &[String]| {
            let code =
                |text: &String| Country::parse(text).ok_or_else(|| format!("{at}: `{text}` is no country"));
            texts.iter().map(code).collect::<Result<Box<[_]>, _>>()
        };
        let allow = document.allow.as_deref().map(codes).transpose()?;
        Ok(Self { allow, deny: codes(&document.deny)?, allows_unknown: document.unknown })
    }

    fn admits(&self, country: Option<Country>) -> bool {
        let Some(country) = country else { return self.allows_unknown };
        let is_allowed = self.allow.as_ref().is_none_or(|allow| allow.contains(&country));
        is_allowed && !self.deny.contains(&country)
    }
}

/// From which addresses a route is open, or the whole gateway.
#[derive(Debug)]
pub struct Screen {
    /// `None`: all that are not denied.
    allow: Option<Box<[u32]>>,
    deny: Box<[u32]>,
    countries: Option<CountryPolicy>,
    reputation: Option<ReputationDocument>,
}

/// Whom a screen judges.
pub struct Visitor<'a> {
    pub request: &'a Request,
    pub country: Option<Country>,
    pub unix_ms: u64,
    /// Whose screen it is.
    pub rule: Rule,
}

impl Screen {
    pub fn compile(document: &ScreenDocument, grounds: &Grounds) -> Result<Self, String> {
        let at = &document.at;
        let countries = document.countries.as_ref().map(|countries| CountryPolicy::compile(countries, at));
        Ok(Self {
            allow: document.allow.as_deref().map(|names| grounds.named(names, at)).transpose()?,
            deny: grounds.named(&document.deny, at)?,
            countries: countries.transpose()?,
            reputation: document.reputation,
        })
    }

    /// Only then does somebody have to look it up.
    pub fn asks_country(&self) -> bool {
        self.countries.is_some()
    }

    /// Gives the list by which the address is allowed, where only those of lists are.
    fn check_lists(&self, grounds: &Grounds, client: IpAddr) -> Result<Option<u32>, Refusal> {
        if let Some(list) = grounds.first(&self.deny, client) {
            return Err(Refusal::AddressNotAllowed(Barrier::Denied { list }));
        }
        let Some(allow) = &self.allow else { return Ok(None) };
        grounds.first(allow, client).map(Some).ok_or(Refusal::AddressNotAllowed(Barrier::NotAllowed))
    }

    fn check_country(&self, visitor: &Visitor<'_>, inputs: Inputs) -> Result<Inputs, Refusal> {
        let Some(countries) = &self.countries else { return Ok(inputs) };
        if !countries.admits(visitor.country) {
            return Err(Refusal::AddressNotAllowed(Barrier::Country(visitor.country)));
        }
        Ok(match &visitor.country {
            Some(country) => inputs.text("country", country.text()),
            None => inputs.fixed("country", "unknown"),
        })
    }

    fn check_reputation(
        &self,
        grounds: &Grounds,
        visitor: &Visitor<'_>,
        inputs: Inputs,
    ) -> Result<Inputs, Refusal> {
        let (Some(wanted), Some(scores)) = (self.reputation, &grounds.scores) else { return Ok(inputs) };
        let score = scores.now().score(visitor.request.client);
        let inputs = inputs.number("score", u64::from(score));
        if wanted.refuse_below.is_some_and(|least| score < least) {
            return Err(Refusal::AddressNotAllowed(Barrier::Reputation { score }));
        }
        let Some(challenge) = &grounds.challenge else { return Ok(inputs) };
        if wanted.challenge_below.is_none_or(|least| score >= least) {
            return Ok(inputs);
        }
        if challenge.is_met(visitor.request, visitor.unix_ms) {
            return Ok(inputs.fixed("challenge", "met"));
        }
        let ticket = Box::new(challenge.ticket(visitor.request.client, visitor.unix_ms));
        Err(Refusal::ChallengeRequired { score, ticket })
    }
}

/// Refuses by what it finds first: a list that denies, no list that allows, the country, the reputation. What let the
/// request pass goes into the trail.
pub fn screen(
    screen: &Screen,
    grounds: &Grounds,
    visitor: &Visitor<'_>,
    trail: &mut Trail,
) -> Result<(), Refusal> {
    let list = screen.check_lists(grounds, visitor.request.client)?;
    let inputs = screen.check_country(visitor, trail.inputs())?;
    let inputs = screen.check_reputation(grounds, visitor, inputs)?;
    trail.push(Stage::Authorize, "screened", list.map_or(visitor.rule, Rule::AddressList), inputs);
    Ok(())
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
