//! One thing changed in a good token at a time.

use super::*;
use crate::authenticate::token::Token;
use crate::authenticate::token_keys::TokenKeys;
use crate::caller::CallerKind;
use CredentialFault as Fault;

#[test]
fn a_good_token_of_every_algorithm_proves_its_user() {
    let mut route = Route::with_every_key(json!({}));
    for algorithm in ALGORITHMS {
        let caller = route.bearer(&token(algorithm, json!({}))).unwrap();
        assert_eq!(caller.kind, CallerKind::User);
        assert_eq!((caller.identity, caller.user.as_deref()), (Some(0), Some("ann")));
        assert_eq!(&*caller.scopes_text, "read write");
        assert!(!caller.cached);
    }
}

#[test]
fn the_algorithm_of_a_token_must_be_that_of_its_key() {
    let mut route = Route::with_every_key(json!({}));
    for algorithm in ALGORITHMS {
        for other in ALGORITHMS.into_iter().chain(["none", "None", "rs256", "HS384", "HS512", "ES256K", ""]) {
            if other == algorithm {
                continue;
            }
            let header = changed(good_header(algorithm), json!({"alg": other})).to_string();
            let bad = token_of_texts(algorithm, &header, &good_claims().to_string());
            assert_eq!(route.fault(&bad), Fault::WrongAlgorithm, "{algorithm} as {other}");
        }
    }
}

#[test]
fn a_public_key_is_never_the_secret_of_an_hmac() {
    let mut route = Route::new(&[jwt("mobile", json!({}))], false);
    route.store.set("mobile", &key_set(&[jwk("RS256")])).unwrap();
    let header = json!({"alg": "HS256", "kid": "key-RS256"}).to_string();
    let signed = format!("{}.{}", encode(header), encode(good_claims().to_string()));
    let modulus = URL_SAFE_NO_PAD.decode(jwk("RS256")["n"].as_str().unwrap()).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &modulus), signed.as_bytes());
    assert_eq!(route.fault(&format!("{signed}.{}", encode(tag.as_ref()))), Fault::WrongAlgorithm);
}

#[test]
fn any_changed_byte_of_the_signature_or_the_claims_is_noticed() {
    let mut route = Route::with_every_key(json!({}));
    for algorithm in ALGORITHMS {
        let good = token(algorithm, json!({}));
        let [header, claims, tag]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(tag).unwrap();
        for place in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[place] ^= 1;
            let bad = format!("{header}.{claims}.{}", encode(&bytes));
            assert_eq!(route.fault(&bad), Fault::BadSignature, "{algorithm} {place}");
            bytes[place] ^= 1;
        }
        let admin = encode(changed(good_claims(), json!({"sub": "admin"})).to_string());
        assert_eq!(route.fault(&format!("{header}.{admin}.{tag}")), Fault::BadSignature);
        for short in [&bytes[..bytes.len() - 1], &[]] {
            assert_eq!(route.fault(&format!("{header}.{claims}.{}", encode(short))), Fault::BadSignature);
        }
    }
}

#[test]
fn each_change_of_the_header_has_its_fault() {
    let mut route = Route::with_every_key(json!({}));
    for (change, fault) in [
        (json!({"kid": "other"}), Fault::UnknownKey),
        (json!({"kid": ""}), Fault::UnknownKey),
        (json!({"kid": 7}), Fault::Malformed),
        (json!({"kid": null}), Fault::UnknownKey),
        (json!({"alg": null}), Fault::Malformed),
        (json!({"alg": ["ES256"]}), Fault::Malformed),
        (json!({"crit": ["exp"]}), Fault::CriticalHeader),
        (json!({"crit": []}), Fault::CriticalHeader),
        (json!({"crit": ["b64"], "b64": false}), Fault::CriticalHeader),
        (json!({"typ": "JWE"}), Fault::WrongType),
        (json!({"typ": 1}), Fault::Malformed),
    ] {
        let header = changed(good_header("ES256"), change.clone()).to_string();
        let bad = token_of_texts("ES256", &header, &good_claims().to_string());
        assert_eq!(route.fault(&bad), fault, "{change}");
    }
}

#[test]
fn keys_that_a_token_brings_along_are_ignored() {
    let mut route = Route::with_every_key(json!({}));
    let own = json!({"jku": "https://evil.example", "jwk": jwk("HS256"), "x5u": "https://evil.example"});
    let header = changed(good_header("ES256"), own.clone()).to_string();
    assert!(route.bearer(&token_of_texts("ES256", &header, &good_claims().to_string())).is_ok());
    let header = changed(changed(good_header("HS256"), own), json!({"kid": "mine"})).to_string();
    let bad = token_of_texts("HS256", &header, &good_claims().to_string());
    assert_eq!(route.fault(&bad), Fault::UnknownKey);
}

#[test]
fn each_change_of_the_claims_has_its_fault() {
    let mut route = Route::with_every_key(json!({}));
    for (change, fault) in [
        (json!({"exp": null}), Fault::MissingExpiry),
        (json!({"exp": NOW_S - 30}), Fault::Expired),
        (json!({"exp": -1}), Fault::Expired),
        (json!({"exp": "1900000000"}), Fault::Malformed),
        (json!({"nbf": NOW_S + 31}), Fault::NotYetValid),
        (json!({"nbf": 1e30}), Fault::NotYetValid),
        (json!({"nbf": true}), Fault::Malformed),
        (json!({"iat": NOW_S + 31}), Fault::IssuedInFuture),
        (json!({"iat": {}}), Fault::Malformed),
        (json!({"iss": null}), Fault::WrongIssuer),
        (json!({"iss": "https://id.example.com/"}), Fault::WrongIssuer),
        (json!({"iss": ["https://id.example.com"]}), Fault::Malformed),
        (json!({"aud": null}), Fault::WrongAudience),
        (json!({"aud": "API"}), Fault::WrongAudience),
        (json!({"aud": []}), Fault::WrongAudience),
        (json!({"aud": ["other"]}), Fault::WrongAudience),
        (json!({"aud": ["api", 1]}), Fault::Malformed),
        (json!({"aud": {"api": true}}), Fault::Malformed),
        (json!({"sub": 12}), Fault::Malformed),
        (json!({"sub": ""}), Fault::Malformed),
        (json!({"sub": " ann"}), Fault::Malformed),
        (json!({"sub": "ann\r\nX-Admin: 1"}), Fault::Malformed),
        (json!({"sub": "ann\u{0}"}), Fault::Malformed),
        (json!({"sub": "x".repeat(257)}), Fault::Malformed),
        (json!({"scope": 1}), Fault::Malformed),
        (json!({"scope": "read\nadmin"}), Fault::Malformed),
        (json!({"scope": ["read admin"]}), Fault::Malformed),
        (json!({"scope": ["read", 1]}), Fault::Malformed),
        (json!({"scp": {"read": true}}), Fault::Malformed),
    ] {
        assert_eq!(route.fault(&token("ES256", change.clone())), fault, "{change}");
    }
}

#[test]
fn claims_may_have_these_other_forms() {
    let mut route = Route::with_every_key(json!({}));
    for (change, user, scopes) in [
        (json!({"aud": ["other", "api"]}), Some("ann"), "read write"),
        (json!({"exp": NOW_S as f64 + 0.5}), Some("ann"), "read write"),
        (json!({"exp": NOW_S - 5}), Some("ann"), "read write"),
        (json!({"exp": 1e300}), Some("ann"), "read write"),
        (json!({"nbf": NOW_S + 30, "iat": NOW_S + 30}), Some("ann"), "read write"),
        (json!({"nbf": null, "iat": null}), Some("ann"), "read write"),
        (json!({"sub": null}), None, "read write"),
        (json!({"sub": "x".repeat(256)}), Some(&*"x".repeat(256)), "read write"),
        (json!({"scope": ["a", "b", "a"], "scp": "c  a"}), Some("ann"), "a b c"),
        (json!({"scope": null}), Some("ann"), ""),
    ] {
        let caller = route
            .bearer(&token("ES256", change.clone()))
            .unwrap_or_else(|refusal| panic!("{change}: {refusal:?}"));
        assert_eq!((caller.user.as_deref(), &*caller.scopes_text), (user, scopes), "{change}");
    }
}

#[test]
fn what_an_identity_does_not_demand_is_not_checked() {
    let mut route = Route::with_every_key(json!({"issuers": [], "audiences": [], "require_expiry": false}));
    let anything = json!({"iss": null, "aud": null, "exp": null});
    assert!(route.bearer(&token("ES256", anything)).is_ok());
    assert!(route.bearer(&token("ES256", json!({"iss": "x", "aud": "y"}))).is_ok());
}

#[test]
fn a_token_is_three_parts_of_base64url_and_nothing_else() {
    let mut route = Route::with_every_key(json!({}));
    let good = token("ES256", json!({}));
    let [header, claims, tag]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let no_claims = format!("{header}..{tag}");
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{claims}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{tag}"),
        format!("{header}.{claims}.{tag}="),
        format!("{header}=.{claims}.{tag}"),
        format!("{header}.{claims}.{tag} "),
        format!(" {good}"),
        no_claims.clone(),
        format!("{header}.{claims}.{tag}+/"),
        format!("{}.{claims}.{tag}", encode("[]")),
        format!("{}.{claims}.{tag}", encode("{}x")),
        format!("{}.{claims}.{tag}", encode("{")),
    ] {
        // An empty middle part is only found out after the signature, which covers it.
        let expected = if bad == no_claims { Fault::BadSignature } else { Fault::Malformed };
        assert_eq!(route.fault(&bad), expected, "{bad}");
    }
}

#[test]
fn left_over_bits_do_not_make_a_second_spelling_of_a_token() {
    let mut route = Route::with_every_key(json!({}));
    let good = token("EdDSA", json!({}));
    // 64 bytes take 86 characters, the last of which carries two bits of nothing.
    let last = good.chars().last().unwrap();
    for other in
        ["A", "B", "C", "D", "Q", "R", "g", "h", "w", "x"].into_iter().filter(|c| *c != last.to_string())
    {
        let bad = format!("{}{other}", &good[..good.len() - 1]);
        assert!(matches!(route.fault(&bad), Fault::Malformed | Fault::BadSignature));
    }
}

#[test]
fn repeated_members_are_refused_where_two_readers_could_differ() {
    let mut route = Route::with_every_key(json!({}));
    let (header, claims) = (good_header("ES256").to_string(), good_claims().to_string());
    let twice = |text: &str, member: &str| format!("{}, {member}}}", &text[..text.len() - 1]);
    for member in ["\"alg\":\"ES256\"", "\"kid\":\"key-ES256\"", "\"typ\":\"JWT\"", "\"k\\u0069d\":\"x\""] {
        let bad = token_of_texts("ES256", &twice(&header, member), &claims);
        assert_eq!(route.fault(&bad), Fault::Malformed, "{member}");
    }
    for member in [
        "\"x\":{\"roles\":[],\"roles\":[\"admin\"]}",
        "\"sub\":\"admin\"",
        "\"exp\":1900000000",
        "\"aud\":\"api\"",
        "\"s\\u0075b\":\"admin\"",
    ] {
        let bad = token_of_texts("ES256", &header, &twice(&claims, member));
        assert_eq!(route.fault(&bad), Fault::Malformed, "{member}");
    }
}

#[test]
fn claims_that_are_not_an_object_are_malformed() {
    let mut route = Route::with_every_key(json!({}));
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    for claims in ["", "null", "[]", "\"ann\"", "{\"exp\":1e999}", "{\"sub\":\"\\ud800\"}", &deep] {
        let bad = token_of_texts("ES256", &good_header("ES256").to_string(), claims);
        assert_eq!(route.fault(&bad), Fault::Malformed, "{:.20}", claims);
    }
}

#[test]
fn sizes_are_bounded() {
    let mut route = Route::with_every_key(json!({}));
    let fits = token("ES256", json!({"pad": "x".repeat(11_000)}));
    assert!(fits.len() < 16 * 1024 && route.bearer(&fits).is_ok());
    assert_eq!(route.fault(&token("ES256", json!({"pad": "x".repeat(12_300)}))), Fault::TooLong);
    let header = changed(good_header("ES256"), json!({"pad": "x".repeat(4_096)})).to_string();
    assert_eq!(route.fault(&token_of_texts("ES256", &header, &good_claims().to_string())), Fault::TooLong);
}

#[test]
fn random_changes_of_a_token_are_refused_and_never_panic() {
    let mut route = Route::with_every_key(json!({}));
    let good = token("HS256", json!({})).into_bytes();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..5_000 {
        let mut bytes = good.clone();
        let place = random.usize(..bytes.len());
        match random.u8(..4) {
            0 => bytes[place] = random.u8(0x20..0x7f),
            1 => bytes.truncate(place),
            2 => drop(bytes.remove(place)),
            _ => bytes.insert(place, random.u8(0x20..0x7f)),
        }
        if bytes != good {
            fault_of(route.bearer(std::str::from_utf8(&bytes).unwrap()));
        }
    }
}

#[test]
fn the_examples_of_the_standards_verify() {
    // RFC 7515 appendix A.1 and RFC 8037 appendix A.4.
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let hmac = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9\
        leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let public = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let edwards = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIb\
        QR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    for (key, token) in [
        (json!({"kty": "oct", "k": secret}), hmac),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": public}), edwards),
    ] {
        let keys = TokenKeys::compile(&[key], 1).unwrap();
        assert_eq!(keys.verify(&Token::read(token.as_bytes()).unwrap()), Ok(()));
    }
}
