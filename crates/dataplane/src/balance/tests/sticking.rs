use super::*;
use crate::request::{Header, Known};
use crate::snapshot::document::{SameSite, StickyDocument};

fn sticky() -> StickyDocument {
    StickyDocument {
        at: "gateway.yaml:6:1".to_owned(),
        cookie: "gw".to_owned(),
        secret: "a secret of sixteen characters".to_owned(),
        path: "/shop".to_owned(),
        max_age_s: Some(3_600),
        same_site: SameSite::Lax,
        secure: true,
        drain_wait_ms: 60_000,
    }
}

fn document(count: u16) -> ServiceDocument {
    let list = (1..=count).map(|port| instance(&format!("i{port}:{port}"), port, 1)).collect();
    let balance = BalanceDocument { sticky: Some(sticky()), ..balance(AlgorithmDocument::RoundRobin) };
    ServiceDocument { balance, circuit_breaker: None, ..service(list) }
}

fn request(cookie: &str) -> Request {
    let mut request = Request::new([127, 0, 0, 1].into());
    let (name, value) = (request.append(b"cookie"), request.append(cookie.as_bytes()));
    request.headers.push(Header { name, value, known: Known::Cookie });
    request
}

fn come(service: &Arc<Service>, cookie: &str, now: Instant) -> Target {
    ask(service, &request(cookie), now, |_| ()).unwrap()
}

/// The pair that a client sends back.
fn pair(target: &Target) -> String {
    let cookie = std::str::from_utf8(target.cookie().unwrap()).unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

fn port(target: &Target) -> u16 {
    target.instance.address.port().unwrap()
}

fn bond(target: &Target) -> String {
    target.inputs().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_client_comes_back_to_its_instance_and_gets_its_cookie_once() {
    let (service, now) = (live(document(3), &Registry::new()), Instant::now());
    let first = come(&service, "", now);
    let told = std::str::from_utf8(first.cookie().unwrap()).unwrap();
    assert!(told.ends_with("; Path=/shop; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"), "{told}");
    assert!(!told.contains("i1") && pair(&first).len() == "gw=".len() + 22, "{told}");
    for _ in 0..5 {
        let again = come(&service, &format!("a=b; {}; gwx=1", pair(&first)), now);
        assert_eq!(
            (port(&again), again.cookie(), bond(&again).as_str()),
            (port(&first), None, "sticky=kept")
        );
    }
    assert_eq!(bond(&first), "sticky=new");
}

#[test]
fn a_client_whose_instance_is_out_gets_another_and_its_cookie() {
    let (service, now) = (live(document(2), &Registry::new()), Instant::now());
    let first = come(&service, "", now);
    let pinned = pair(&first);
    first.finish(Outcome::Answered(200), now);
    (0..3).for_each(|_| _ = come(&service, &pinned, now).finish(Outcome::Unreachable, now));
    let other = come(&service, &pinned, now);
    assert_eq!((port(&other), bond(&other).as_str()), (2, "sticky=moved"));
    assert_eq!(port(&come(&service, &pair(&other), now)), 2);
    for forged in ["gw=AAAAAAAAAAAAAAAAAAAAAA", "gw=", "gw=i1:1", "gw=\u{fc}"] {
        assert_eq!(bond(&come(&service, forged, now)), "sticky=moved");
    }
}

#[test]
fn cookies_mean_the_same_after_a_reload_and_on_another_node_with_the_secret() {
    let (registry, now) = (Registry::new(), Instant::now());
    let pinned = pair(&come(&live(document(3), &registry), "", now));
    let owner = port(&come(&live(document(3), &registry), &pinned, now));
    let mut turned = document(4);
    turned.instances.reverse();
    assert_eq!(port(&come(&live(turned.clone(), &registry), &pinned, now)), owner);
    assert_eq!(port(&come(&live(turned.clone(), &Registry::new()), &pinned, now)), owner);
    turned.balance.sticky = Some(StickyDocument { secret: "another secret, as long".to_owned(), ..sticky() });
    assert_eq!(bond(&come(&live(turned, &registry), &pinned, now)), "sticky=moved");
}

#[test]
fn an_instance_that_drains_keeps_its_clients_for_the_wait_and_no_longer() {
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(document(2), &registry);
    let pinned = pair(&come(&service, "", now));
    registry.drain("users", "i1:1", Some(now)).unwrap();
    assert_eq!(port(&come(&service, &pinned, now + 59 * SECOND)), 1);
    assert!((0..4).all(|_| port(&come(&service, "", now)) == 2), "no new ones");
    assert_eq!(port(&come(&service, &pinned, now + 61 * SECOND)), 2);
    registry.drain("users", "i1:1", None).unwrap();
    registry.drain("users", "i1:1", Some(now)).unwrap();
    let instance = service.instances()[0].clone();
    (0..3).for_each(|_| _ = instance.observe(false, &health_check()));
    assert_eq!(port(&come(&service, &pinned, now)), 2, "it is not well");
}

#[test]
fn what_is_no_cookie_is_refused() {
    for (cookie, path) in [("", "/"), ("a b", "/"), ("a=b", "/"), ("a", "shop"), ("a", "/;x"), ("a", "/\r\n")]
    {
        let settings = StickyDocument { cookie: cookie.to_owned(), path: path.to_owned(), ..sticky() };
        let mut document = document(1);
        document.balance.sticky = Some(settings);
        assert!(Registry::new().compile(&[document], &|_| Ok(None)).is_err(), "{cookie:?} {path:?}");
    }
}

#[test]
fn a_client_whose_instance_has_an_open_breaker_moves_and_gets_another_cookie() {
    let settings = BreakerDocument { scope: BreakerScope::Instance, ..breaker() };
    let (registry, now) = (Registry::new(), Instant::now());
    let service = live(ServiceDocument { circuit_breaker: Some(settings), ..document(2) }, &registry);
    let first = come(&service, "", now);
    let open = BreakerChange::Open { by: "ann".to_owned(), why: None };
    registry.change_breakers(Some(&format!("users@{}", first.instance.name)), &open, now);
    let moved = come(&service, &pair(&first), now);
    assert_ne!(port(&moved), port(&first));
    assert!(moved.cookie().is_some());
    assert_eq!(bond(&moved), "sticky=moved");
    reset(&registry, None, now);
    assert_eq!(port(&come(&service, &pair(&first), now)), port(&first));
}

#[test]
fn a_client_whose_instance_has_just_failed_it_goes_elsewhere() {
    for scope in [BreakerScope::Service, BreakerScope::Instance] {
        let circuit_breaker = Some(BreakerDocument { scope, ..breaker() });
        let service = live(ServiceDocument { circuit_breaker, ..document(2) }, &Registry::new());
        let now = Instant::now();
        let first = come(&service, "", now);
        let request = request(&pair(&first));
        let caller = Caller::anonymous();
        let mut wanted = Ask {
            request: &request,
            caller: &caller,
            tenant: None,
            breaker: BreakerUse::Shared,
            now,
            random: 0,
            tried: &[],
        };
        let tried = [&first.instance];
        wanted.tried = &tried;
        let next = super::super::pick(&service, &wanted).unwrap();
        assert_ne!(port(&next), port(&first));
        assert_eq!(bond(&next), "sticky=moved");
    }
}
