use super::*;

fn addresses(service: &Arc<Service>) -> Vec<u16> {
    service.instances().iter().filter_map(|instance| instance.address.port()).collect()
}

fn ejected(registry: &Registry) -> Arc<Service> {
    let service = live(one(), registry);
    for _ in 0..3 {
        pick(&service, BreakerUse::None, Instant::now())
            .unwrap()
            .finish(Outcome::Unreachable, Instant::now());
    }
    service
}

#[test]
fn health_survives_a_reload_that_keeps_the_address() {
    let registry = Registry::new();
    ejected(&registry);
    let service = live(service(vec![instance("a:1", 1, 7), instance("b:2", 2, 1)]), &registry);
    let health: Vec<bool> = service.instances().iter().map(|instance| instance.health().healthy).collect();
    assert_eq!(health, [false, true]);
}

#[test]
fn taking_the_health_check_away_brings_an_ejected_instance_back() {
    let registry = Registry::new();
    ejected(&registry);
    let service = live(ServiceDocument { health_check: None, ..one() }, &registry);
    assert!(pick(&service, BreakerUse::Shared, Instant::now()).is_ok());
}

#[test]
fn discovered_instances_outlive_a_reload_until_the_list_itself_changes() {
    let registry = Registry::new();
    let first = live(one(), &registry);
    registry.set_instances("users", vec![instance("b:2", 2, 1), instance("c:3", 3, 1)]).unwrap();
    assert_eq!(addresses(&first), [2, 3], "the running snapshot sees them at once");
    let changed = ServiceDocument { circuit_breaker: None, ..one() };
    assert_eq!(addresses(&live(changed, &registry)), [2, 3]);
    let listed = service(vec![instance("d:4", 4, 1)]);
    assert_eq!(addresses(&live(listed, &registry)), [4]);
    assert_eq!(addresses(&first), [2, 3], "a draining snapshot keeps its own");
}

#[test]
fn compiling_without_adopting_changes_nothing_that_is_live() {
    let registry = Registry::new();
    let first = live(one(), &registry);
    registry.compile(&[service(vec![instance("d:4", 4, 1)])], &|_| Ok(None)).unwrap();
    registry.set_instances("users", vec![instance("b:2", 2, 1)]).unwrap();
    assert_eq!(addresses(&first), [2]);
}

#[test]
fn the_breaker_stays_open_over_a_reload_and_another_window_forgets_only_counts() {
    let (registry, now) = (Registry::new(), Instant::now());
    send_many(&live(one(), &registry), 20, Outcome::Failure, now);
    let with = |settings| ServiceDocument { circuit_breaker: Some(settings), ..one() };
    let service = live(with(BreakerDocument { probes: 1, ..breaker() }), &registry);
    assert_eq!(state(&registry, now), BreakerState::Open);
    send(&service, SUCCESS, now + 30 * SECOND).unwrap();
    assert_eq!(state(&registry, now), BreakerState::Closed, "the new number of probes counts");
    let later = now + 31 * SECOND;
    send_many(&service, 19, Outcome::Failure, later);
    let window = BreakerDocument { window: BreakerWindow::Calls(20), ..breaker() };
    let service = live(with(window), &registry);
    send(&service, Outcome::Failure, later).unwrap();
    assert_eq!(breaker_of(&registry, later).tally.failures, 1);
    send_many(&service, 19, Outcome::Failure, later);
    live(with(BreakerDocument { window: BreakerWindow::Milliseconds(10_000), ..breaker() }), &registry);
    assert_eq!(state(&registry, later), BreakerState::Open);
}

#[test]
fn unusable_services_are_refused_with_name_and_place() {
    let health = |change: fn(&mut HealthCheckDocument)| {
        let mut check = health_check();
        change(&mut check);
        ServiceDocument { health_check: Some(check), ..one() }
    };
    let breaks = |change: fn(&mut BreakerDocument)| {
        let mut settings = breaker();
        change(&mut settings);
        ServiceDocument { circuit_breaker: Some(settings), ..one() }
    };
    for document in [
        service(vec![instance("a:1", 1, 0)]),
        service(vec![instance("a:0", 0, 1)]),
        service(vec![instance("a:1\r\nX: y", 1, 1)]),
        service(vec![instance("a:1", 1, 1), instance("a:1", 1, 2)]),
        health(|check| check.port = Some(0)),
        health(|check| check.jitter = 101),
        health(|check| check.unhealthy_interval_ms = 0),
        health(|check| check.interval_ms = 0),
        health(|check| check.healthy_after = 0),
        breaks(|settings| settings.failure_ratio = Some(f64::NAN)),
        breaks(|settings| settings.slow_ratio = Some(1.5)),
        breaks(|settings| settings.probes = 0),
        breaks(|settings| settings.window = BreakerWindow::Milliseconds(0)),
        breaks(|settings| settings.window = BreakerWindow::Calls(1_000_000)),
        breaks(|settings| settings.open_growth = 0.5),
    ] {
        let error = Registry::new().compile(&[document], &|_| Ok(None)).unwrap_err();
        assert!(error.starts_with("gateway.yaml:1:1: service `users`: "), "{error}");
    }
    assert!(Registry::new().compile(&[one(), one()], &|_| Ok(None)).is_err());
}

#[test]
fn a_refused_list_of_instances_changes_nothing() {
    let registry = Registry::new();
    let service = live(one(), &registry);
    assert!(registry.set_instances("users", vec![instance("b:2", 2, 0)]).is_err());
    assert!(registry.set_instances("nobody", Vec::new()).is_err());
    assert_eq!(addresses(&service), [1]);
}

#[test]
fn a_check_that_would_be_another_request_is_refused() {
    let http = |change: fn(&mut HttpProbeDocument)| {
        let mut probe = http_probe();
        change(&mut probe);
        let check = HealthCheckDocument { kind: ProbeDocument::Http(probe), ..health_check() };
        ServiceDocument { health_check: Some(check), ..one() }
    };
    for document in [
        http(|probe| probe.path = "healthz".to_owned()),
        http(|probe| probe.path = "/a b".to_owned()),
        http(|probe| probe.host = Some("a\r\nX: y".to_owned())),
        http(|probe| probe.headers = vec![("a".to_owned(), "b\r\nc: d".to_owned())]),
        http(|probe| probe.headers = vec![("a:".to_owned(), "b".to_owned())]),
    ] {
        assert!(Registry::new().compile(&[document], &|_| Ok(None)).is_err());
    }
}
