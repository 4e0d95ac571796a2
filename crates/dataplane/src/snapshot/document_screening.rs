//! What is known of addresses, and from which a route is open, as Python hands it down.

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreeningDocument {
    /// Those of `address_lists`, and one for the networks that a screen names itself.
    pub lists: Vec<AddressListDocument>,
    #[serde(default)]
    pub geography: Option<FileDocument>,
    /// Each record tells the country.
    #[serde(default)]
    pub record_country: bool,
    /// The header that tells services the country; lower case.
    #[serde(default)]
    pub country_header: Option<String>,
    #[serde(default)]
    pub reputation: Option<FileDocument>,
    #[serde(default)]
    pub challenge: Option<ChallengeDocument>,
    /// Of every request.
    #[serde(default)]
    pub all: Option<ScreenDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressListDocument {
    pub name: String,
    pub at: String,
    #[serde(default)]
    pub addresses: Vec<String>,
    /// In place of `addresses`.
    #[serde(default)]
    pub file: Option<FileDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDocument {
    pub at: String,
    /// Absolute.
    pub path: String,
    /// Networks of a list, bytes of a database.
    pub most: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeDocument {
    /// `null`: one of this process alone.
    #[serde(default)]
    pub secret: Option<String>,
    pub difficulty: u32,
    pub lifetime_s: u64,
    /// The page of a CAPTCHA, in place of the gateway's own.
    #[serde(default)]
    pub redirect: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenDocument {
    pub at: String,
    /// Names of lists; `null`: every address that is not denied.
    #[serde(default)]
    pub allow: Option<Vec<String>>,
    #[serde(default)]
    pub deny: Vec<String>,
    #[serde(default)]
    pub countries: Option<CountriesDocument>,
    #[serde(default)]
    pub reputation: Option<ReputationDocument>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountriesDocument {
    /// ISO 3166-1, upper case; `null`: every country that is not denied.
    #[serde(default)]
    pub allow: Option<Vec<String>>,
    #[serde(default)]
    pub deny: Vec<String>,
    /// Whether an address of which no country is known may pass.
    pub unknown: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReputationDocument {
    #[serde(default)]
    pub challenge_below: Option<u8>,
    #[serde(default)]
    pub refuse_below: Option<u8>,
}
