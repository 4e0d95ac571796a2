use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::request::{Header, Known, Request};
use crate::snapshot::document::{GrantedDocument, OidcDocument, ProviderDocument};

const NOW: u64 = 1_800_000_000_000;
const MINUTE: u64 = 60_000;

fn document(changed: Value) -> OidcDocument {
    let mut document = json!({
        "client_id": "gateway", "scopes": ["openid", "profile"], "parameters": {"prompt": "login"},
        "prefix": "/oauth2", "external_url": null, "api_paths": ["/api"], "login_timeout_ms": 10 * MINUTE,
        "after_logout": "/bye", "timeout_ms": 5000, "max_pending": 100, "provider": null,
        "session": {
            "cookie": "__Host-session", "secrets": ["one secret"], "domain": null, "same_site": "lax",
            "secure": true, "lifetime_ms": 60 * MINUTE, "idle_ms": 16 * MINUTE, "max_tokens_bytes": 5120,
            "refresh_ahead_ms": MINUTE
        }
    });
    for (name, value) in changed.as_object().unwrap() {
        let place =
            if document["session"].get(name).is_some() { &mut document["session"] } else { &mut document };
        place[name] = value.clone();
    }
    serde_json::from_value(document).unwrap()
}

fn login_named(name: &str, changed: Value) -> Login {
    let provider = ProviderDocument {
        authorization_endpoint: "https://id.test/authorize?realm=a".to_owned(),
        end_session_endpoint: Some("https://id.test/end".to_owned()),
    };
    let provider = Arc::new(arc_swap::ArcSwapOption::from_pointee(provider));
    Login::compile((3, name), &document(changed), provider).unwrap()
}

fn login() -> Login {
    login_named("web", json!({}))
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::new(Ipv4Addr::LOCALHOST.into());
    request.path = request.append(path.as_bytes());
    request.authority = request.append(b"app.test:8443");
    for (name, value) in headers {
        let known = if *name == "cookie" { Known::Cookie } else { Known::Other };
        let (name, value) = (request.append(name.as_bytes()), request.append(value.as_bytes()));
        request.headers.push(Header { name, value, known });
    }
    request
}

/// What a browser sends after these `Set-Cookie` lines.
fn sent(lines: &[u8]) -> String {
    let lines = std::str::from_utf8(lines).unwrap();
    let kept = lines.lines().filter(|line| !line.contains("; Max-Age=0;"));
    let cookies = kept.filter_map(|line| line.strip_prefix("set-cookie: "));
    let pairs = cookies.map(|cookie| cookie.split(';').next().unwrap());
    pairs.collect::<Vec<_>>().join("; ")
}

fn granted(refresh: Option<&str>, access_ms: Option<u64>) -> GrantedDocument {
    serde_json::from_value(json!({
        "named": {
            "user": "ann", "subject": "ann", "scopes": ["read"], "roles": [], "claims": null, "provider_session": null
        },
        "access_ms": access_ms, "refresh_token": refresh, "id_token": "a.b.c"
    }))
    .unwrap()
}

#[test]
fn a_session_stands_until_it_idles_or_ends_whatever_comes_first() {
    let login = login();
    let session = login.session(&granted(None, Some(5 * MINUTE)), NOW).unwrap();
    // An eighth of the 16 minutes that it may idle.
    let mark = NOW + 2 * MINUTE;
    assert_eq!(login.standing(&session, NOW), Standing::Good { until_ms: mark });
    assert_eq!(login.standing(&session, mark - 1), Standing::Good { until_ms: mark });
    assert_eq!(login.standing(&session, mark), Standing::Unmarked);
    assert_eq!(login.standing(&session, NOW + 16 * MINUTE - 1), Standing::Unmarked);
    assert_eq!(login.standing(&session, NOW + 16 * MINUTE), Standing::Over);
    let end = NOW + 60 * MINUTE;
    let late = Session { seen_ms: end - 1, ..session.clone() };
    assert_eq!(login.standing(&late, end - 1), Standing::Good { until_ms: end });
    assert_eq!(login.standing(&late, end), Standing::Over);
    let ahead = Session { began_ms: NOW + 20 * MINUTE, seen_ms: NOW + 20 * MINUTE, ..session };
    assert_eq!(login.standing(&ahead, NOW), Standing::Over);
}

#[test]
fn a_session_is_refreshed_ahead_of_the_end_of_its_grant() {
    let login = login();
    let session = login.session(&granted(Some("r"), Some(2 * MINUTE)), NOW).unwrap();
    let access = NOW + 2 * MINUTE;
    assert_eq!(login.standing(&session, NOW), Standing::Good { until_ms: NOW + MINUTE });
    assert_eq!(login.standing(&session, NOW + MINUTE), Standing::Due { until_ms: access });
    assert_eq!(login.standing(&session, access - 1), Standing::Due { until_ms: access });
    assert_eq!(login.standing(&session, access), Standing::Stale);
    assert_eq!(login.standing(&session, NOW + 16 * MINUTE), Standing::Over);
    let next = session.refreshed(&granted(Some("s"), Some(3 * MINUTE)), access);
    assert_eq!(login.standing(&next, access), Standing::Good { until_ms: access + 2 * MINUTE });
    assert_eq!((&next.id, next.began_ms, &next.token), (&session.id, NOW, &session.token));
    let unnamed = GrantedDocument { named: None, ..granted(Some("s"), Some(MINUTE)) };
    assert_eq!(session.refreshed(&unnamed, access).named, session.named);
}

#[test]
fn the_cookies_of_a_session_are_read_back_and_belong_together() {
    let login = login();
    let session = login.session(&granted(Some("refresh"), None), NOW).unwrap();
    let tokens = Tokens { refresh: Some("refresh".to_owned()), id: Some("a.b.c".to_owned()) };
    let lines = login.keep(&request("/", &[]), &session, &tokens, NOW).unwrap();
    let text = std::str::from_utf8(&lines).unwrap();
    for line in text.lines().skip(1).filter(|line| !line.contains(".csrf=")) {
        assert!(line.ends_with("; Max-Age=3600; Path=/; Secure; SameSite=Lax; HttpOnly"), "{line}");
    }
    assert!(text.contains(&format!(
        "__Host-session.csrf={}; Max-Age=3600; Path=/; Secure; SameSite=Lax\r\n",
        session.token
    )));
    let back = request("/", &[("cookie", &sent(&lines))]);
    let sealed = login.jar.session(&back).next().unwrap();
    assert_eq!(login.open(sealed).unwrap(), session);
    assert_eq!(login.tokens(&back, &session).unwrap(), tokens);
    let other = Session { id: "another".to_owned(), ..session.clone() };
    assert_eq!(login.tokens(&back, &other), None);
    for stranger in [
        login_named("other", json!({})),
        login_named("web", json!({"client_id": "other"})),
        login_named("web", json!({"secrets": ["two secret"]})),
    ] {
        assert_eq!(stranger.open(sealed), None);
        assert_eq!(stranger.tokens(&back, &session), None);
    }
    assert!(login_named("web", json!({"secrets": ["new", "one secret"]})).open(sealed).is_some());
}

#[test]
fn one_kind_of_cookie_is_never_taken_for_another() {
    let login = login();
    let session = login.session(&granted(Some("r"), None), NOW).unwrap();
    let lines = login.keep(&request("/", &[]), &session, &Tokens::default(), NOW).unwrap();
    let sealed = sent(&lines).replace(".t0=", ".x=").replace("__Host-session=", "__Host-session.t0=");
    let swapped = request("/", &[("cookie", &sealed)]);
    assert_eq!(login.tokens(&swapped, &session), None);
    let handoff = login.begin(&request("/", &[]), "/a", NOW).unwrap();
    let (_, pending) =
        sent(&handoff.lines).split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(login.open(pending.as_bytes()), None);
}

#[test]
fn long_tokens_take_several_cookies_and_too_long_ones_are_left_out() {
    let login = login();
    let session = login.session(&granted(Some("r"), None), NOW).unwrap();
    let kept = |refresh: usize, id: usize, before: &str| {
        let tokens = Tokens { refresh: Some("r".repeat(refresh)), id: Some("i".repeat(id)) };
        let lines = login.keep(&request("/", &[("cookie", before)]), &session, &tokens, NOW).unwrap();
        let back = request("/", &[("cookie", &sent(&lines))]);
        let found = login.tokens(&back, &session).unwrap();
        let (refresh, id) = (found.refresh.map(|text| text.len()), found.id.map(|text| text.len()));
        (sent(&lines), String::from_utf8(lines).unwrap(), (refresh, id))
    };
    let (cookies, _, found) = kept(2000, 1500, "");
    assert_eq!((cookies.matches(".t").count(), found), (2, (Some(2000), Some(1500))));
    assert!(cookies.split("; ").all(|pair| pair.len() < 4096));
    let (_, lines, found) = kept(1000, 4000, &cookies);
    assert_eq!(found, (Some(1000), None));
    assert_eq!(lines.matches("__Host-session.t0=").count(), 1);
    assert!(lines.contains("__Host-session.t1=; Max-Age=0;"), "{lines}");
    assert_eq!(kept(6000, 10, "").2, (None, None));
}

#[test]
fn a_login_ends_where_it_began_and_in_the_browser_that_began_it() {
    let login = login();
    let handoff = login.begin(&request("/a", &[]), "/a?b=c", NOW).unwrap();
    let (base, query) = handoff.location.split_once("?realm=a&").unwrap();
    assert_eq!(base, "https://id.test/authorize");
    let asked = |name: &str| parameter(query, name).unwrap();
    assert_eq!(asked("redirect_uri"), "http://app.test:8443/oauth2/callback");
    assert_eq!((asked("scope"), asked("prompt")), ("openid profile".to_owned(), "login".to_owned()));
    let line = std::str::from_utf8(&handoff.lines).unwrap();
    assert!(line.ends_with("; Max-Age=600; Path=/; Secure; SameSite=Lax; HttpOnly\r\n"), "{line}");
    let back = request("/oauth2/callback", &[("cookie", &sent(&handoff.lines))]);
    let pending = login.pending(&back, &asked("state"), NOW).unwrap();
    assert_eq!((pending.path.as_str(), &pending.nonce), ("/a?b=c", &asked("nonce")));
    assert_ne!(pending.verifier, asked("code_challenge"));
    assert!(login.pending(&back, &asked("state"), NOW + 10 * MINUTE).is_some());
    assert_eq!(login.pending(&back, &asked("state"), NOW + 10 * MINUTE + 1), None);
    let near = format!("{}x", &asked("state")[..21]);
    for other in [near.as_str(), "", "short", &"é".repeat(20)] {
        assert_eq!(login.pending(&back, other, NOW), None, "{other}");
    }
    assert_eq!(login.pending(&request("/", &[]), &asked("state"), NOW), None);
}

#[test]
fn logins_of_several_tabs_stand_beside_each_other_and_their_number_is_bounded() {
    let login = login();
    let mut cookies: Vec<String> = Vec::new();
    for _ in 0..5 {
        let handoff = login.begin(&request("/", &[("cookie", &cookies.join("; "))]), "/", NOW).unwrap();
        assert_eq!(handoff.lines.split(|byte| *byte == b'\n').count(), 2);
        cookies.push(sent(&handoff.lines));
    }
    let handoff = login.begin(&request("/", &[("cookie", &cookies.join("; "))]), "/", NOW).unwrap();
    let lines = std::str::from_utf8(&handoff.lines).unwrap();
    assert_eq!(lines.matches("; Max-Age=0;").count(), 5);
    assert_eq!(lines.matches("; Max-Age=600;").count(), 1);
    let long = login.begin(&request("/", &[]), &format!("/{}", "a".repeat(3000)), NOW).unwrap();
    let state = parameter(long.location.split_once('?').unwrap().1, "state").unwrap();
    let back = request("/", &[("cookie", &sent(&long.lines))]);
    assert_eq!(login.pending(&back, &state, NOW).unwrap().path, "/");
}

#[test]
fn only_pages_that_a_person_goes_to_lead_to_a_login() {
    let login = login();
    let suits = |path: &str, headers: &[(&str, &str)]| login.suits(&request(path, headers));
    let html = ("accept", "text/html,*/*;q=0.8");
    assert!(suits("/", &[html]));
    assert!(suits("/apix", &[html, ("sec-fetch-mode", "navigate")]));
    assert!(!suits("/", &[]) && !suits("/", &[("accept", "*/*")]));
    assert!(!suits("/", &[html, ("sec-fetch-mode", "cors")]));
    assert!(!suits("/", &[html, ("x-requested-with", "XMLHttpRequest")]));
    assert!(!suits("/api", &[html]) && !suits("/api/users", &[html]));
    let mut post = request("/", &[html]);
    post.method = crate::request::Method::Post;
    assert!(!login.suits(&post));
}

#[test]
fn a_logout_leads_to_the_provider_where_it_takes_one() {
    let tokens = Tokens { refresh: None, id: Some("a.b.c".to_owned()) };
    let to = login().farewell(&request("/", &[]), Some(&tokens));
    assert_eq!(
        to,
        "https://id.test/end?id_token_hint=a.b.c&client_id=gateway\
         &post_logout_redirect_uri=http%3A%2F%2Fapp.test%3A8443%2Fbye"
    );
    let alone = json!({"provider": {"authorization_endpoint": "https://id.test/authorize"}});
    assert_eq!(login_named("web", alone).farewell(&request("/", &[]), Some(&tokens)), "/bye");
}
