//! What the tests of this stage share: keys made on the spot, a good token to change one thing of, a route to ask.

mod api_keys;
mod cache;
mod claims;
mod comparing;
mod key_sets;
mod passwords;
mod policies;
mod revoked;
mod stored;
mod timing;
mod tokens;
mod vectors;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::http1::request_names::known;
use crate::refusal::{CredentialKind, Unjudged};
use crate::request::Header;
use crate::snapshot::document::{IdentityDocument, IdentityKindDocument};

pub(super) const NOW_S: u64 = 1_800_000_000;
pub(super) const NOW: u64 = NOW_S * 1000;
pub(super) const ALGORITHMS: [&str; 11] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256"];
pub(super) const SECRET: &[u8] = b"a secret of thirty-two bytes, not less";

static RSA: LazyLock<rsa::KeyPair> = LazyLock::new(|| rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap());
static EC: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
static EC384: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap());
static EC521: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap());
static ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public key for an algorithm, under the key id `key-ALGORITHM`.
pub(super) fn jwk(algorithm: &str) -> Value {
    let id = format!("key-{algorithm}");
    match algorithm {
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => {
            // RFC 8017 `RSAPublicKey` of a 2048-bit key: fixed places, exponent 65537.
            let der = RSA.public_key().as_ref();
            json!({"kty": "RSA", "kid": id, "alg": algorithm, "n": encode(&der[9..265]), "e": "AQAB"})
        }
        "ES256" => elliptic(&EC, "P-256", &id),
        "ES384" => elliptic(&EC384, "P-384", &id),
        "ES512" => elliptic(&EC521, "P-521", &id),
        "EdDSA" => {
            json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": encode(ED.public_key().as_ref())})
        }
        "HS256" => json!({"kty": "oct", "kid": id, "k": encode(SECRET)}),
        other => panic!("{other}"),
    }
}

fn elliptic(pair: &EcdsaKeyPair, curve: &str, id: &str) -> Value {
    let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
    json!({"kty": "EC", "crv": curve, "kid": id, "x": encode(x), "y": encode(y)})
}

fn sign_rsa(encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; RSA.public_modulus_len()];
    RSA.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

pub(super) fn signature(algorithm: &str, message: &[u8]) -> Vec<u8> {
    match algorithm {
        "RS256" => sign_rsa(&RSA_PKCS1_SHA256, message),
        "RS384" => sign_rsa(&RSA_PKCS1_SHA384, message),
        "RS512" => sign_rsa(&RSA_PKCS1_SHA512, message),
        "PS256" => sign_rsa(&RSA_PSS_SHA256, message),
        "PS384" => sign_rsa(&RSA_PSS_SHA384, message),
        "PS512" => sign_rsa(&RSA_PSS_SHA512, message),
        "ES256" => EC.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
        "ES384" => EC384.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
        "ES512" => EC521.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
        "EdDSA" => ED.sign(message).as_ref().to_vec(),
        "HS256" => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
            hmac::sign(&key, message).as_ref().to_vec()
        }
        other => panic!("{other}"),
    }
}

/// Signs these exact texts.
pub(super) fn token_of_texts(algorithm: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = encode(signature(algorithm, signed.as_bytes()));
    format!("{signed}.{signature}")
}

pub(super) fn good_header(algorithm: &str) -> Value {
    json!({"alg": algorithm, "kid": format!("key-{algorithm}"), "typ": "JWT"})
}

pub(super) fn good_claims() -> Value {
    json!({
        "iss": "https://id.example.com", "aud": "api", "sub": "ann", "scope": "read write",
        "exp": NOW_S + 300, "nbf": NOW_S - 10, "iat": NOW_S - 10,
    })
}

/// `changes` replace members of the claims; `null` removes one.
pub(super) fn changed(mut document: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        let members = document.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    document
}

pub(super) fn token(algorithm: &str, claim_changes: Value) -> String {
    let claims = changed(good_claims(), claim_changes).to_string();
    token_of_texts(algorithm, &good_header(algorithm).to_string(), &claims)
}

/// The JWT identity of design.md with these changes; keys are pushed unless the changes bring some.
pub(super) fn jwt(name: &str, changes: Value) -> IdentityDocument {
    let document = json!({
        "header": "authorization", "issuers": ["https://id.example.com"], "audiences": ["api"], "leeway_ms": 30_000,
        "require_expiry": true, "user_claim": "sub", "scope_claims": ["scope", "scp"], "keys": null,
    });
    let mut document = document;
    for (member, value) in changes.as_object().unwrap() {
        document[member] = value.clone();
    }
    identity(name, json!({"jwt": document}))
}

pub(super) fn api_key(name: &str, pepper: Option<&str>, keys: Value) -> IdentityDocument {
    identity(name, json!({"api_key": {"header": "x-api-key", "pepper": pepper, "keys": keys}}))
}

fn identity(name: &str, kind: Value) -> IdentityDocument {
    let kind: IdentityKindDocument = serde_json::from_value(kind).unwrap();
    IdentityDocument { name: name.to_owned(), at: "gateway.yaml:12:5".to_owned(), kind }
}

pub(super) fn key_set(keys: &[Value]) -> Vec<u8> {
    json!({"keys": keys}).to_string().into_bytes()
}

/// A route with its identities, a worker's cache, and the store that outlives them.
pub(super) struct Route {
    pub(super) store: KeyStore,
    pub(super) cache: TokenCache,
    policy: AuthPolicy,
}

pub(super) fn policy(store: &KeyStore, documents: &[IdentityDocument], optional: bool) -> AuthPolicy {
    let accept = documents.iter().map(|document| document.name.clone()).collect();
    let auth =
        AuthDocument { at: "gateway.yaml:30:5".to_owned(), accept, optional, ..AuthDocument::default() };
    let identities = Identities::compile(documents, &Some(stored::key_store()), store).unwrap();
    AuthPolicy::compile(&auth, &identities).unwrap()
}

impl Route {
    pub(super) fn new(documents: &[IdentityDocument], optional: bool) -> Self {
        let store = KeyStore::new();
        let policy = policy(&store, documents, optional);
        Self { store, cache: TokenCache::new(100), policy }
    }

    /// One JWT identity that knows one key of each kind.
    pub(super) fn with_every_key(changes: Value) -> Self {
        let route = Self::new(&[jwt("mobile", changes)], false);
        let keys = ALGORITHMS.map(jwk);
        route.store.set("mobile", &key_set(&keys)).unwrap();
        route
    }

    /// A new snapshot over the same store and the same cache.
    pub(super) fn reload(&mut self, documents: &[IdentityDocument]) {
        self.policy = policy(&self.store, documents, false);
    }

    pub(super) fn ask(&mut self, headers: &[(&str, &str)], now: u64) -> Result<Arc<Caller>, Refusal> {
        self.ask_with(headers, "", now)
    }

    pub(super) fn ask_with(
        &mut self,
        headers: &[(&str, &str)],
        query: &str,
        now: u64,
    ) -> Result<Arc<Caller>, Refusal> {
        let mut request = request(headers);
        request.query = Some(request.append(query.as_bytes()));
        identify(Some(&self.policy), &request, &mut self.cache, None, now)
    }

    pub(super) fn bearer(&mut self, token: &str) -> Result<Arc<Caller>, Refusal> {
        self.bearer_at(token, NOW)
    }

    pub(super) fn bearer_at(&mut self, token: &str, now: u64) -> Result<Arc<Caller>, Refusal> {
        self.ask(&[("authorization", &format!("Bearer {token}"))], now)
    }

    pub(super) fn fault(&mut self, token: &str) -> CredentialFault {
        fault_of(self.bearer(token))
    }
}

pub(super) fn request(headers: &[(&str, &str)]) -> Request {
    let mut request = Request::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
    for (name, value) in headers {
        let (name, value) = (request.append(name.as_bytes()), request.append(value.as_bytes()));
        let known = known(request.slice(name));
        request.headers.push(Header { name, value, known });
    }
    request
}

pub(super) fn fault_of(answer: Result<Arc<Caller>, Refusal>) -> CredentialFault {
    let refusal = answer.expect_err("the credential was accepted");
    assert_eq!(refusal.status(), 401, "{refusal:?}");
    let Refusal::Unauthenticated { fault, .. } = refusal else { panic!("{refusal:?}") };
    fault
}

pub(super) fn unauthenticated(kind: CredentialKind, identity: u32, fault: CredentialFault) -> Refusal {
    Refusal::Unauthenticated { kind, identity: Some(identity), fault }
}
