use super::*;
use crate::request::Header;

const NOW: u64 = 1_700_000_000;

fn challenge(difficulty: u32) -> Challenge {
    let secret = Some("a secret that nodes share".to_owned());
    let document = ChallengeDocument { secret, difficulty, lifetime_s: 600, redirect: None };
    Challenge::compile(&document, &Registry::default())
}

fn client(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What the page does.
fn work(ticket: &Ticket) -> String {
    let is_done = |number: &u64| {
        let hash = digest::digest(&digest::SHA256, format!("{}.{number}", ticket.seed).as_bytes());
        zero_bits(hash.as_ref()) >= ticket.difficulty
    };
    let number = (0..).find(is_done).unwrap();
    format!("p.{}.{number}", ticket.seconds)
}

fn is_met(challenge: &Challenge, cookies: &[&str], from: &str, now: u64) -> bool {
    let mut request = Request::new(client(from));
    for cookie in cookies {
        let value = request.append(cookie.as_bytes());
        request.headers.push(Header { value, known: Known::Cookie, ..Header::default() });
    }
    challenge.is_met(&request, now * 1000)
}

#[test]
fn a_proof_is_good_for_its_address_and_its_time_alone() {
    let challenge = challenge(8);
    let proof = work(&challenge.ticket(client("192.0.2.1"), NOW * 1000));
    let cookie = format!("a=b; gatewright_proof={proof}; c=d");
    let met = |from, now| is_met(&challenge, &[&cookie], from, now);
    assert!(met("192.0.2.1", NOW) && met("::ffff:192.0.2.1", NOW) && met("192.0.2.1", NOW + 599));
    assert!(!met("192.0.2.2", NOW) && !met("192.0.2.1", NOW + 600));
    assert!(met("192.0.2.1", NOW - 60) && !met("192.0.2.1", NOW - 61), "clocks differ a little");
    assert!(is_met(&challenge, &["x=y", &cookie], "192.0.2.1", NOW));
}

#[test]
fn a_subscriber_of_ipv6_keeps_a_proof_when_the_address_changes() {
    let challenge = challenge(8);
    let proof = work(&challenge.ticket(client("2001:db8:1:2::3"), NOW * 1000));
    let cookie = format!("gatewright_proof={proof}");
    assert!(is_met(&challenge, &[&cookie], "2001:db8:1:2:ffff::9", NOW));
    assert!(!is_met(&challenge, &[&cookie], "2001:db8:1:3::3", NOW));
}

#[test]
fn less_work_than_is_asked_proves_nothing() {
    let ticket = challenge(8).ticket(client("192.0.2.1"), NOW * 1000);
    let cookie = format!("gatewright_proof={}", work(&ticket));
    assert!(!is_met(&challenge(40), &[&cookie], "192.0.2.1", NOW));
}

#[test]
fn whoever_does_not_know_the_secret_cannot_make_a_ticket() {
    let document = ChallengeDocument { secret: None, difficulty: 8, lifetime_s: 600, redirect: None };
    let other = Challenge::compile(&document, &Registry::default());
    let cookie = format!("gatewright_proof={}", work(&other.ticket(client("192.0.2.1"), NOW * 1000)));
    assert!(is_met(&other, &[&cookie], "192.0.2.1", NOW));
    assert!(!is_met(&challenge(8), &[&cookie], "192.0.2.1", NOW));
}

#[test]
fn what_is_no_proof_is_none() {
    let challenge = challenge(1);
    for wrong in [
        "",
        "p",
        "p.1",
        "p.x.1",
        "p.1700000000.-1",
        "p.1700000000.1.1",
        "q.1700000000.1",
        "c.1700000001.00",
        "c.1700000001.zz",
        "p.99999999999999999999.1",
        "p.1700000000.",
        "p..1",
    ] {
        let cookie = format!("gatewright_proof={wrong}");
        assert!(!is_met(&challenge, &[&cookie], "192.0.2.1", NOW), "{wrong}");
    }
    assert!(!is_met(&challenge, &[], "192.0.2.1", NOW));
}

#[test]
fn only_the_first_cookies_are_looked_at() {
    let challenge = challenge(8);
    let proof = work(&challenge.ticket(client("192.0.2.1"), NOW * 1000));
    let good = format!("gatewright_proof={proof}");
    let bad = "gatewright_proof=p.1.1";
    assert!(is_met(&challenge, &[&format!("{bad}; {good}")], "192.0.2.1", NOW));
    assert!(!is_met(&challenge, &[&format!("{bad}; {bad}; {good}")], "192.0.2.1", NOW));
}

#[test]
fn a_captcha_that_knows_the_secret_vouches_for_an_address_until_a_time() {
    let challenge = challenge(8);
    let code = |text: &str| hex(hmac::sign(&challenge.key, text.as_bytes()).as_ref());
    let until = NOW + 300;
    let cookie = format!("gatewright_proof=c.{until}.{}", code(&format!("captcha 192.0.2.1 {until}")));
    assert!(is_met(&challenge, &[&cookie], "192.0.2.1", NOW));
    assert!(!is_met(&challenge, &[&cookie], "192.0.2.2", NOW));
    assert!(!is_met(&challenge, &[&cookie], "192.0.2.1", until + 1));
    assert!(
        !is_met(&challenge, &[&cookie], "192.0.2.1", until - 601),
        "longer than `lifetime` is never good"
    );
}
