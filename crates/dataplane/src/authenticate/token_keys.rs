//! The keys that tokens are verified with, parsed once. An algorithm belongs to its key: what a token says about its
//! own algorithm can only be equal or wrong.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::token::Token;
use crate::refusal::CredentialFault;

/// Bytes of an HMAC secret: a shorter one can be guessed from a single token (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;
/// Bits of an RSA modulus.
const MIN_MODULUS: usize = 2048;
const MAX_MODULUS: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
    /// The name that RFC 9864 gives to EdDSA with this curve.
    Ed25519,
    Hs256,
}

impl Algorithm {
    fn text(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::Hs256 => "HS256",
        }
    }
}

enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

struct TokenKey {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    verifier: Verifier,
}

/// A compiled JSON Web Key Set. Immutable; a change is a new set with a new generation.
pub(super) struct TokenKeys {
    pub(super) generation: u64,
    keys: Box<[TokenKey]>,
    skipped: usize,
}

impl TokenKeys {
    /// Skips, and counts, keys that are for something else or of an unsupported kind. Refuses the whole set where a
    /// key of a supported kind is malformed or a secret too short, or two keys cannot be told apart.
    pub(super) fn compile(documents: &[Value], generation: u64) -> Result<Self, String> {
        let mut keys: Vec<TokenKey> = Vec::with_capacity(documents.len());
        let mut skipped = 0;
        for (index, document) in documents.iter().enumerate() {
            let Some(key) = TokenKey::compile(document).map_err(|error| format!("key {index}: {error}"))?
            else {
                skipped += 1;
                continue;
            };
            if keys.iter().any(|other| other.id == key.id && other.algorithm == key.algorithm) {
                return Err(format!("key {index}: another key has the same `kid` and algorithm"));
            }
            keys.push(key);
        }
        Ok(Self { generation, keys: keys.into(), skipped })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), CredentialFault> {
        self.choose(token)?.verify(token)
    }

    /// A token without a key id is taken only where there is nothing to choose.
    fn choose(&self, token: &Token<'_>) -> Result<&TokenKey, CredentialFault> {
        let fits = |key: &&TokenKey| key.algorithm.text() == token.algorithm;
        let Some(id) = token.key.as_deref() else {
            let [only] = &*self.keys else { return Err(CredentialFault::UnknownKey) };
            return Some(only).filter(fits).ok_or(CredentialFault::WrongAlgorithm);
        };
        let mut named = self.keys.iter().filter(|key| key.id.as_deref() == Some(id)).peekable();
        if named.peek().is_none() {
            return Err(CredentialFault::UnknownKey);
        }
        named.find(fits).ok_or(CredentialFault::WrongAlgorithm)
    }
}

impl TokenKey {
    fn verify(&self, token: &Token<'_>) -> Result<(), CredentialFault> {
        let is_genuine = match &self.verifier {
            Verifier::Public(public) => public.verify_sig(token.signed, &token.signature).is_ok(),
            Verifier::Secret(secret) => hmac::verify(secret, token.signed, &token.signature).is_ok(),
        };
        if is_genuine { Ok(()) } else { Err(CredentialFault::BadSignature) }
    }

    /// `None`: a key for something else. Members that hold private parts are never read.
    fn compile(document: &Value) -> Result<Option<Self>, String> {
        let kind = text(document, "kty")?.ok_or("`kty` is missing")?;
        if !is_for_verifying(document)? {
            return Ok(None);
        }
        let Some(algorithm) = algorithm_of(kind, document)? else { return Ok(None) };
        let verifier = match algorithm {
            Algorithm::Rs256 => rsa(document, &RSA_PKCS1_2048_8192_SHA256)?,
            Algorithm::Rs384 => rsa(document, &RSA_PKCS1_2048_8192_SHA384)?,
            Algorithm::Rs512 => rsa(document, &RSA_PKCS1_2048_8192_SHA512)?,
            Algorithm::Ps256 => rsa(document, &RSA_PSS_2048_8192_SHA256)?,
            Algorithm::Ps384 => rsa(document, &RSA_PSS_2048_8192_SHA384)?,
            Algorithm::Ps512 => rsa(document, &RSA_PSS_2048_8192_SHA512)?,
            Algorithm::Es256 => Some(elliptic(document, &ECDSA_P256_SHA256_FIXED, 32)?),
            Algorithm::Es384 => Some(elliptic(document, &ECDSA_P384_SHA384_FIXED, 48)?),
            Algorithm::Es512 => Some(elliptic(document, &ECDSA_P521_SHA512_FIXED, 66)?),
            Algorithm::EdDsa | Algorithm::Ed25519 => Some(edwards(document)?),
            Algorithm::Hs256 => Some(secret(document)?),
        };
        let id = text(document, "kid")?.map(Into::into);
        Ok(verifier.map(|verifier| Self { id, algorithm, verifier }))
    }
}

/// The key that a proof brings along. It proves nothing by itself: the token says which key it has to be.
pub(super) struct ProofKey {
    key: TokenKey,
    /// SHA-256 by RFC 7638.
    pub(super) thumbprint: [u8; 32],
}

impl ProofKey {
    /// `None`: no public key of a kind that is supported, or one that comes with its private half. `algorithm` is what the
    /// proof says; it must fit the key.
    pub(super) fn compile(document: &Value, algorithm: &str) -> Option<Self> {
        let members = document.as_object()?;
        let kind = members.get("kty")?.as_str()?;
        let is_private = ["d", "p", "q", "k"].iter().any(|member| members.contains_key(*member));
        if is_private || kind == "oct" || members.get("alg").is_some_and(|own| own != algorithm) {
            return None;
        }
        let mut told = members.clone();
        told.remove("kid");
        told.insert("alg".to_owned(), algorithm.into());
        let key = TokenKey::compile(&Value::Object(told)).ok()??;
        let text = |member| members.get(member).and_then(Value::as_str);
        // The members that make a key, in the order of their names; all are base64url or fixed words.
        let canonical = match kind {
            "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e")?, text("n")?),
            "EC" => {
                let (curve, x, y) = (text("crv")?, text("x")?, text("y")?);
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            "OKP" => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text("x")?),
            _ => return None,
        };
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest(&SHA256, canonical.as_bytes()).as_ref());
        Some(Self { key, thumbprint })
    }

    pub(super) fn verify(&self, proof: &Token<'_>) -> Result<(), CredentialFault> {
        self.key.verify(proof)
    }
}

fn is_for_verifying(document: &Value) -> Result<bool, String> {
    if text(document, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Ok(false);
    }
    match document.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(list)) => Ok(list.iter().any(|operation| operation.as_str() == Some("verify"))),
        Some(_) => Err("`key_ops` is not a list".to_owned()),
    }
}

fn algorithm_of(kind: &str, document: &Value) -> Result<Option<Algorithm>, String> {
    let curve = text(document, "crv")?;
    Ok(match (kind, curve, text(document, "alg")?) {
        ("RSA", _, None | Some("RS256")) => Some(Algorithm::Rs256),
        ("RSA", _, Some("RS384")) => Some(Algorithm::Rs384),
        ("RSA", _, Some("RS512")) => Some(Algorithm::Rs512),
        ("RSA", _, Some("PS256")) => Some(Algorithm::Ps256),
        ("RSA", _, Some("PS384")) => Some(Algorithm::Ps384),
        ("RSA", _, Some("PS512")) => Some(Algorithm::Ps512),
        ("EC", Some("P-256"), None | Some("ES256")) => Some(Algorithm::Es256),
        ("EC", Some("P-384"), None | Some("ES384")) => Some(Algorithm::Es384),
        ("EC", Some("P-521"), None | Some("ES512")) => Some(Algorithm::Es512),
        ("OKP", Some("Ed25519"), None | Some("EdDSA")) => Some(Algorithm::EdDsa),
        ("OKP", Some("Ed25519"), Some("Ed25519")) => Some(Algorithm::Ed25519),
        ("oct", _, None | Some("HS256")) => Some(Algorithm::Hs256),
        _ => None,
    })
}

/// `None`: a modulus of a size that nobody should use, which must not take the good keys of its set down with it.
fn rsa(document: &Value, parameters: &'static RsaParameters) -> Result<Option<Verifier>, String> {
    let modulus = number(document, "n")?;
    let exponent = number(document, "e")?;
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(MIN_MODULUS..=MAX_MODULUS).contains(&bits) {
        return Ok(None);
    }
    let is_odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
    if !is_odd || exponent == [1] || exponent.len() > 4 {
        return Err("`e` is not an odd number between 3 and 2^32".to_owned());
    }
    let components = RsaPublicKeyComponents { n: modulus, e: exponent };
    let key = components.to_parsed_public_key(parameters).map_err(|_| "`n` and `e` are not an RSA key")?;
    Ok(Some(Verifier::Public(key)))
}

/// `length`: bytes of a coordinate.
fn elliptic(
    document: &Value,
    curve: &'static EcdsaVerificationAlgorithm,
    length: usize,
) -> Result<Verifier, String> {
    let (x, y) = (bytes(document, "x")?, bytes(document, "y")?);
    if x.len() != length || y.len() != length {
        return Err(format!("`x` and `y` are not {length} bytes each"));
    }
    // The uncompressed form of SEC 1, which is what the library reads.
    let point = [&[4], &*x, &*y].concat();
    let key = ParsedPublicKey::new(curve, point);
    key.map(Verifier::Public).map_err(|_| "`x` and `y` are not a point of the curve".to_owned())
}

fn edwards(document: &Value) -> Result<Verifier, String> {
    let x = bytes(document, "x")?;
    if x.len() != 32 {
        return Err("`x` is not 32 bytes".to_owned());
    }
    let key = ParsedPublicKey::new(&ED25519, x);
    key.map(Verifier::Public).map_err(|_| "`x` is not an Ed25519 key".to_owned())
}

fn secret(document: &Value) -> Result<Verifier, String> {
    let secret = bytes(document, "k")?;
    if secret.len() < MIN_SECRET {
        return Err(format!("an HS256 secret of {} bytes; it takes at least {MIN_SECRET}", secret.len()));
    }
    Ok(Verifier::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &secret))))
}

fn text<'a>(document: &'a Value, member: &str) -> Result<Option<&'a str>, String> {
    match document.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{member}` is not a text")),
    }
}

fn bytes(document: &Value, member: &str) -> Result<Vec<u8>, String> {
    let text = text(document, member)?.ok_or_else(|| format!("`{member}` is missing"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("`{member}` is not base64url without padding"))
}

/// A number without leading zeros, which some issuers send and the library refuses.
fn number(document: &Value, member: &str) -> Result<Vec<u8>, String> {
    let bytes = bytes(document, member)?;
    let number: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    if number.is_empty() { Err(format!("`{member}` is zero")) } else { Ok(number) }
}
