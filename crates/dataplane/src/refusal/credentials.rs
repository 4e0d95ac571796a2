//! What lies behind a refusal of a credential.

/// What was wrong with a credential. For the record only: the client learns none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialFault {
    Missing,
    Malformed,
    Repeated,
    TooLong,
    UnknownKey,
    WrongAlgorithm,
    BadSignature,
    CriticalHeader,
    WrongType,
    MissingExpiry,
    MissingIssueTime,
    Expired,
    NotYetValid,
    IssuedInFuture,
    WrongIssuer,
    WrongAudience,
    MissingClaim,
    ForbiddenClaim,
    Revoked,
    NotActive,
    NoName,
    NotBound,
    UnknownBinding,
    NoCertificate,
    OtherCertificate,
    NoProof,
    BadProof,
    ProofOfOtherKey,
    ProofOfOtherRequest,
    ProofOfOtherToken,
    ProofTooOld,
    ProofReplayed,
    WrongPassword,
    UnsignedPart,
    MissingTime,
    MissingNonce,
    Replayed,
    WrongDigest,
}

impl CredentialFault {
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "no credential was sent",
            Self::Malformed => "the credential is malformed",
            Self::Repeated => "the credential was sent more than once",
            Self::TooLong => "the credential is too long",
            Self::UnknownKey => "the key is not known",
            Self::WrongAlgorithm => "the algorithm is not the key's",
            Self::BadSignature => "the signature does not verify",
            Self::CriticalHeader => "the token demands an extension (`crit`)",
            Self::WrongType => "the token is of another type (`typ`)",
            Self::MissingExpiry => "the token has no `exp`",
            Self::MissingIssueTime => "the token has no `iat`",
            Self::Expired => "the credential has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::IssuedInFuture => "the token was issued in the future",
            Self::WrongIssuer => "the issuer is not the expected one",
            Self::WrongAudience => "the audience does not include this service",
            Self::MissingClaim => "a claim that is required is missing, or another",
            Self::ForbiddenClaim => "the token has a claim that is forbidden",
            Self::Revoked => "the credential was revoked",
            Self::NotActive => "the issuer says that the token is not active",
            Self::NoName => "the certificate does not name a caller",
            Self::NotBound => "the token is not bound as it must be",
            Self::UnknownBinding => "the token is bound in a way that cannot be checked",
            Self::NoCertificate => "the token is bound to a certificate, and none was shown",
            Self::OtherCertificate => "the token is bound to another certificate",
            Self::NoProof => "the token is bound to a key, and no proof of it was sent",
            Self::BadProof => "the proof is malformed, or its signature does not verify",
            Self::ProofOfOtherKey => "the proof is signed with another key than the token is bound to",
            Self::ProofOfOtherRequest => "the proof is for another method or address",
            Self::ProofOfOtherToken => "the proof is for another token",
            Self::ProofTooOld => "the proof is too old, or from the future",
            Self::ProofReplayed => "the proof was used before",
            Self::WrongPassword => "the name or the password is wrong",
            Self::UnsignedPart => "the signature does not cover what it must",
            Self::MissingTime => "the signature does not say when it was made",
            Self::MissingNonce => "the signature has no nonce",
            Self::Replayed => "the nonce was used before",
            Self::WrongDigest => "the body is not the one whose digest was sent",
        }
    }
}

/// Why a credential can be called neither good nor bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unjudged {
    NoKeys,
    /// The key store was not asked: `explain` does not.
    NotLookedUp,
    /// The key store cannot tell, or says nothing usable.
    NoAnswer,
    /// The key store has not answered in time.
    Late,
    /// Too many look-ups are under way (`key_store.max_lookups`).
    TooManyLookups,
    /// Too many look-ups for one address (`key_store.lookups_per_address`).
    TooManyFromAddress,
    /// The issuer of the token was not asked: `explain` does not.
    NotIntrospected,
    /// The issuer cannot tell, or says nothing usable.
    IssuerSilent,
    /// The issuer has not answered in time.
    IssuerLate,
    /// Too many tokens are being introspected (`max_lookups` of the identity).
    TooManyIntrospections,
    /// Too many were for this address (`lookups_per_address` of the identity).
    TooManyIntrospectionsFromAddress,
    /// No further proof can be remembered (`dpop.max_proofs`).
    TooManyProofs,
    /// What the provider granted for the session has to be asked for again: `explain` does not.
    SessionDue,
    /// Nothing is known of the provider yet.
    NoProvider,
    /// The provider cannot be asked, or says nothing usable.
    ProviderSilent,
    /// The provider has not answered in time.
    ProviderLate,
    /// Too many logins and refreshes are under way (`max_pending`).
    TooManyLogins,
    /// The password was not checked: `explain` does not.
    NotChecked,
    /// Whoever checks passwords cannot tell.
    CheckFailed,
    /// The password was not checked within `passwords.timeout`.
    CheckLate,
    /// Too many checks are under way (`passwords.max_checks`).
    TooManyChecks,
    /// Too many checks for one address (`passwords.checks_per_address`).
    TooManyChecksFromAddress,
    /// No further nonce can be remembered (`max_nonces`).
    TooManyNonces,
}

impl Unjudged {
    pub fn text(self) -> &'static str {
        match self {
            Self::NoKeys => "the identity has no keys",
            Self::NotLookedUp => "the key store was not asked",
            Self::NoAnswer => "the key store cannot answer",
            Self::Late => "the key store did not answer in time",
            Self::TooManyLookups => "too many keys are being looked up",
            Self::TooManyFromAddress => "too many keys were looked up for this address",
            Self::NotIntrospected => "the issuer of the token was not asked",
            Self::IssuerSilent => "the issuer of the token cannot answer",
            Self::IssuerLate => "the issuer of the token did not answer in time",
            Self::TooManyIntrospections => "too many tokens are being introspected",
            Self::TooManyIntrospectionsFromAddress => "too many tokens were introspected for this address",
            Self::TooManyProofs => "too many proofs are remembered",
            Self::SessionDue => "the provider was not asked to go on with the session",
            Self::NoProvider => "the provider is not known yet",
            Self::ProviderSilent => "the provider cannot answer",
            Self::ProviderLate => "the provider did not answer in time",
            Self::TooManyLogins => "too many logins are under way",
            Self::NotChecked => "the password was not checked",
            Self::CheckFailed => "the password could not be checked",
            Self::CheckLate => "the password was not checked in time",
            Self::TooManyChecks => "too many passwords are being checked",
            Self::TooManyChecksFromAddress => "too many passwords were checked for this address",
            Self::TooManyNonces => "too many nonces are remembered",
        }
    }
}

/// Which kind of credential a 401 speaks of; decides its code (requirements AU-7, AU-22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    Token,
    ApiKey,
    Certificate,
    /// A token with a proof (DPoP), and `alone`: no other.
    BoundToken {
        alone: bool,
    },
    /// A cookie that a login left.
    Session,
    Password,
    Signature,
}

impl CredentialKind {
    /// The `error` of a 401.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Token | Self::BoundToken { .. } => "invalid_token",
            Self::ApiKey => "invalid_api_key",
            Self::Certificate => "invalid_client_certificate",
            Self::Session => "invalid_session",
            Self::Password => "invalid_credentials",
            Self::Signature => "invalid_signature",
        }
    }
}
