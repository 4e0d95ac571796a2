//! What records tell and what they keep to themselves, in lines as their readers see them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::entry::Entry;
use super::line::{Memory, encode};
use super::line_tests::{entry, request, trail};
use super::policy::Policy;
use crate::http1::response_head::ResponseHead;
use crate::request::Known;
use crate::snapshot::document::{RecordingDocument, RotateDocument, UserKeyDocument};
use crate::trail::{Inputs, Rule, Stage, Trail};

const CARD: &[u8] = b"4111111111111111";

fn policy(document: RecordingDocument) -> Policy {
    let key = UserKeyDocument {
        id: "k1".to_owned(),
        secret: "a secret of this test alone, please".to_owned(),
        rotate: RotateDocument::Never,
    };
    let document = RecordingDocument { user_key: Some(key), ..document };
    Policy::compile(&document, ["t".into()].into(), &["x-partner-key"]).expect("it is compiled")
}

fn line(entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    encode(&mut out, entry, &mut Memory::default());
    String::from_utf8(out).expect("a record is UTF-8")
}

fn read(entry: &Entry<'_>) -> Value {
    serde_json::from_str(&line(entry)).expect("a record is JSON")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn card_numbers_are_masked_wherever_a_client_puts_them() {
    let headers = [("user-agent", CARD, Known::UserAgent), ("x-note", CARD, Known::Other)];
    let path = [b"/pay/", CARD].concat();
    let query = [b"card=", CARD, b"&a=4111-1111-1111-1111"].concat();
    let (request, trail) = (request((&path, &query), &headers), Trail::default());
    let document =
        RecordingDocument { mask_cards: true, request_headers: names(&["x-note"]), ..<_>::default() };
    let policy = policy(document);
    let record = read(&Entry { policy: &policy, ..entry(&request, &trail) });
    assert_eq!(record["path"], "/pay/************1111");
    assert_eq!(record["query_string"], "card=************1111&a=****-****-****-1111");
    assert_eq!(record["user_agent"], "************1111");
    assert_eq!(record["request_headers"], json!({"x-note": "************1111"}));
}

#[test]
fn a_card_number_that_the_cut_goes_through_is_masked_before_it() {
    for offset in 0..CARD.len() {
        let path = [b"/".as_slice(), &vec![b'p'; 2_047 - offset], CARD].concat();
        let (request, trail) = (request((&path, b""), &[]), Trail::default());
        let record = read(&entry(&request, &trail));
        let path = record["path"].as_str().expect("a path");
        assert_eq!(path.len(), 2_048);
        let told = path.bytes().filter(u8::is_ascii_digit).count();
        assert!(told <= 4, "{offset}: {told} digits");
    }
}

#[test]
fn headers_are_told_where_they_are_asked_for_and_secrets_never() {
    let headers = [
        ("accept", &b"text/html"[..], Known::Other),
        ("accept", b"*/*", Known::Other),
        ("authorization", b"Bearer CANARY", Known::Authorization),
        ("cookie", b"session=CANARY", Known::Cookie),
        ("x-partner-key", b"CANARY", Known::Other),
        ("x-own", b"CANARY", Known::Other),
        ("x-other", b"untold", Known::Other),
    ];
    let (request, trail) = (request((b"/a", b"t=CANARY&member_no=CANARY&b=1"), &headers), Trail::default());
    let mut response = ResponseHead::new();
    response.add(b"content-type", b"text/plain");
    response.add(b"set-cookie", b"CANARY");
    let document = RecordingDocument {
        request_headers: names(&["accept", "authorization", "cookie", "x-partner-key", "x-own", "absent"]),
        response_headers: names(&["set-cookie", "content-type"]),
        secret_headers: names(&["x-own"]),
        secret_parameters: names(&["memberNo"]),
        ..RecordingDocument::default()
    };
    let policy = policy(document);
    let entry = Entry { policy: &policy, response: Some(&response), ..entry(&request, &trail) };
    let record = read(&entry);
    let expected = json!({
        "accept": "text/html, */*", "authorization": "Bearer ***", "cookie": "***", "x-partner-key": "***",
        "x-own": "***",
    });
    assert_eq!(record["request_headers"], expected);
    assert_eq!(record["response_headers"], json!({"set-cookie": "***", "content-type": "text/plain"}));
    assert_eq!(record["query_string"], "t=***&member_no=***&b=1");
    assert!(!line(&entry).contains("CANARY") && !line(&entry).contains("untold"));
    assert_eq!(read(&Entry { response: None, ..entry })["response_headers"], json!({}));
}

#[test]
fn a_hashed_user_is_named_nowhere() {
    let (request, mut trail) = (request((b"/a", b""), &[]), Trail::default());
    trail.push(Stage::Authenticate, "logged_in", Rule::None, Inputs::none().text("user", "user_789"));
    let policy = policy(RecordingDocument { hash_users: true, ..RecordingDocument::default() });
    let entry = Entry { policy: &policy, ..entry(&request, &trail) };
    let record = read(&entry);
    let hash = record["user_id"].as_str().expect("a hash");
    assert!(hash.starts_with("k1:") && hash.len() == 35, "{hash}");
    assert_eq!(record["decisions"][0]["inputs"]["user"], hash);
    assert!(!line(&entry).contains("user_789"));
}

#[test]
fn the_profile_for_card_data_tells_nothing_that_could_hold_some() {
    let headers = [("user-agent", &b"agent"[..], Known::UserAgent), ("accept", b"*/*", Known::Other)];
    let (mut request, trail) = (request((&[b"/pay/", CARD].concat(), b"a=1"), &headers), trail());
    request.id = request.append(CARD);
    let document = RecordingDocument { pci: true, request_headers: names(&["accept"]), ..<_>::default() };
    let policy = policy(document);
    let record = read(&Entry { policy: &policy, ..entry(&request, &trail) });
    assert_eq!((&record["query_string"], &record["user_agent"]), (&json!(""), &Value::Null));
    assert_eq!(record["client_ip"], "203.0.113.0");
    assert_eq!(
        (&record["path"], &record["request_id"]),
        (&json!("/pay/************1111"), &json!("************1111"))
    );
    assert!(record["user_id"].as_str().is_some_and(|user| user.starts_with("k1:")));
    assert_eq!(record.get("request_headers"), None);
}

#[test]
fn a_sampled_record_tells_its_weight_as_a_number() {
    let (request, trail) = (request((b"/a", b""), &[]), Trail::default());
    let entry = Entry { weight: Some("3.3333333333333335"), ..entry(&request, &trail) };
    assert_eq!(read(&entry)["sampling_weight"], json!(3.333_333_333_333_333_5));
    assert_eq!(read(&Entry { weight: None, ..entry })["sampling_weight"], json!(1));
}

#[test]
fn what_no_service_was_asked_has_no_times_of_one() {
    let (request, trail) = (request((b"/a", b""), &[]), Trail::default());
    let record = read(&Entry { attempts: 0, ..entry(&request, &trail) });
    for name in ["queue_latency_ms", "connect_latency_ms", "first_byte_latency_ms"] {
        assert_eq!(record[name], Value::Null, "{name}");
    }
    let mut opened = entry(&request, &trail);
    (opened.times.queued, opened.times.connected) = (1_500, Some(250));
    let record = read(&opened);
    assert_eq!((&record["queue_latency_ms"], &record["connect_latency_ms"]), (&json!(1.5), &json!(0.25)));
}

/// Every field that a peer has a say in, all at once.
fn any_record(bytes: &[u8]) -> String {
    let headers = [
        ("user-agent", bytes, Known::UserAgent),
        ("x-told", bytes, Known::Other),
        ("authorization", bytes, Known::Authorization),
    ];
    let (mut request, mut trail) = (request((bytes, bytes), &headers), trail());
    (request.id, request.host) = (request.append(bytes), request.append(bytes));
    request.method_text = request.append(bytes);
    let text = String::from_utf8_lossy(bytes);
    trail.push(Stage::Proxy, "broken", Rule::None, Inputs::none().text("user", &text).text("name", &text));
    let mut response = ResponseHead::new();
    response.add(b"x-told", bytes);
    let document = RecordingDocument {
        mask_cards: true,
        request_headers: names(&["x-told", "authorization"]),
        response_headers: names(&["x-told"]),
        ..RecordingDocument::default()
    };
    let policy = policy(document);
    let text = Some(&*text);
    line(&Entry {
        policy: &policy,
        response: Some(&response),
        user: text,
        partner: text,
        tenant: text,
        instance: text,
        error_message: text,
        ..entry(&request, &trail)
    })
}

proptest! {
    /// Nobody can end a line, begin another, or put a field into it.
    #[test]
    fn any_bytes_in_every_field_make_one_line_of_json(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            "[\\r\\n\"\\\\{}\\[\\],:\u{0}\u{1b}\u{85}\u{2028}\u{202e}0-9% ]{0,80}".prop_map(String::into_bytes),
        ],
    ) {
        let line = any_record(&bytes);
        prop_assert_eq!(line.chars().filter(|character| character.is_control()).count(), 1);
        let is_plain = !line.contains(['\u{2028}', '\u{2029}', '\u{202e}']);
        prop_assert!(is_plain && line.ends_with('\n'));
        let record: Value = serde_json::from_str(&line).expect("a record is JSON");
        let plain: Value = serde_json::from_str(&any_record(b"a")).expect("a record is JSON");
        let keys = |record: &Value| record.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>());
        prop_assert_eq!(keys(&record), keys(&plain));
        // The same request gives the same bytes.
        prop_assert_eq!(line, any_record(&bytes));
    }
}
