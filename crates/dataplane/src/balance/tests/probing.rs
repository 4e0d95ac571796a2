//! Real sockets. Nothing sleeps: tests wait for a connection or for a change of health.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const BAD: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

fn fast() -> HealthCheckDocument {
    HealthCheckDocument { interval_ms: 1, unhealthy_interval_ms: 1, timeout_ms: 10_000, ..health_check() }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Takes one probe, answers it, gives what it asked.
async fn answer(listener: &TcpListener, text: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let asked = head(&mut stream).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    asked
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Runs the checks beside `story`, bounded in time so that a fault fails instead of hanging.
fn with_checks<F: Future<Output = ()>>(registry: &Arc<Registry>, story: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (stop, stopped) = oneshot::channel::<()>();
        let checks = checks::run(Arc::clone(registry), async {
            stopped.await.ok();
        });
        let both = async {
            tokio::join!(checks, async {
                story.await;
                stop.send(()).unwrap();
            })
        };
        tokio::time::timeout(20 * SECOND, both).await.expect("the story ends in time");
    });
}

fn with_instance(address: SocketAddr, check: HealthCheckDocument) -> ServiceDocument {
    let instance =
        InstanceDocument { name: "users.internal:80".to_owned(), address: address.into(), weight: 1 };
    ServiceDocument { health_check: Some(check), ..service(vec![instance]) }
}

#[test]
fn three_bad_answers_take_an_instance_out_and_two_good_ones_bring_it_back() {
    let registry = Arc::new(Registry::new());
    with_checks(&registry, async {
        let (listener, address) = listen().await;
        let service = live(with_instance(address, fast()), &registry);
        let mut changes = registry.health_changes();
        let asked = answer(&listener, BAD).await;
        assert_eq!(
            asked,
            "GET /healthz HTTP/1.1\r\nHost: users.internal:80\r\nUser-Agent: gatewright-health\r\n\
             Accept: */*\r\nConnection: close\r\n\r\n"
        );
        answer(&listener, "nonsense from another protocol").await;
        assert!(service.instances()[0].health().healthy);
        answer(&listener, BAD).await;
        changes.changed().await.unwrap();
        assert!(pick(&service, BreakerUse::Shared, Instant::now()).is_err());
        answer(&listener, OK).await;
        answer(&listener, "HTTP/1.0 200 OK\r\n\r\n").await;
        changes.changed().await.unwrap();
        assert!(pick(&service, BreakerUse::Shared, Instant::now()).is_ok());
    });
}

#[test]
fn an_instance_that_refuses_connections_is_taken_out() {
    let registry = Arc::new(Registry::new());
    with_checks(&registry, async {
        let (listener, address) = listen().await;
        drop(listener);
        let service = live(with_instance(address, fast()), &registry);
        registry.health_changes().wait_for(|count| *count > 0).await.unwrap();
        assert!(!service.instances()[0].health().healthy);
    });
}

#[test]
fn a_probe_that_is_never_answered_fails_in_time() {
    let registry = Arc::new(Registry::new());
    with_checks(&registry, async {
        let (listener, address) = listen().await;
        let silent = HealthCheckDocument { timeout_ms: 5, unhealthy_after: 1, ..fast() };
        live(with_instance(address, silent), &registry);
        let (_held, _) = listener.accept().await.unwrap();
        registry.health_changes().wait_for(|count| *count > 0).await.unwrap();
    });
}

#[test]
fn a_new_instance_is_probed_at_once_and_a_removed_one_no_more() {
    let registry = Arc::new(Registry::new());
    with_checks(&registry, async {
        let ((old, first), (new, second)) = (listen().await, listen().await);
        // An interval that the test would not survive: only the change can cause the second probe.
        let patient = HealthCheckDocument { interval_ms: 3_600_000, timeout_ms: 3_600_000, ..fast() };
        live(with_instance(first, patient), &registry);
        let (mut unanswered, _) = old.accept().await.unwrap();
        let replaced = InstanceDocument { name: "b:2".to_owned(), address: second.into(), weight: 1 };
        registry.set_instances("users", vec![replaced]).unwrap();
        assert!(answer(&new, OK).await.contains("Host: b:2\r\n"));
        let mut asked = String::new();
        unanswered.read_to_string(&mut asked).await.expect("the probe is given up, not left waiting");
    });
}

#[test]
fn changed_settings_take_effect_without_waiting_for_the_old_interval() {
    let registry = Arc::new(Registry::new());
    with_checks(&registry, async {
        let (listener, address) = listen().await;
        let slow = HealthCheckDocument { interval_ms: 3_600_000, ..fast() };
        live(with_instance(address, slow.clone()), &registry);
        answer(&listener, OK).await;
        let ready = ProbeDocument::Http(HttpProbeDocument { path: "/ready".to_owned(), ..http_probe() });
        live(with_instance(address, HealthCheckDocument { kind: ready, ..slow }), &registry);
        assert!(answer(&listener, OK).await.starts_with("GET /ready "));
    });
}

#[test]
fn probes_stop_when_told_to() {
    let registry = Arc::new(Registry::new());
    with_checks(&registry, async {
        let (listener, address) = listen().await;
        live(with_instance(address, fast()), &registry);
        answer(&listener, OK).await;
    });
    assert_eq!(Arc::strong_count(&registry), 1);
}

#[test]
fn the_probe_asks_as_it_is_told_and_takes_the_statuses_it_is_told() {
    let registry = Arc::new(Registry::new());
    with_checks(&registry, async {
        let (listener, address) = listen().await;
        let probe = HttpProbeDocument {
            path: "/up".to_owned(),
            host: Some("users.example".to_owned()),
            headers: vec![
                ("accept".to_owned(), "text/plain".to_owned()),
                ("x-probe".to_owned(), "1".to_owned()),
            ],
            statuses: vec![(401, 401), (500, 503)],
        };
        let check = HealthCheckDocument {
            kind: ProbeDocument::Http(probe),
            port: Some(address.port()),
            unhealthy_after: 1,
            ..fast()
        };
        live(with_instance("127.0.0.1:1".parse().unwrap(), check), &registry);
        let asked = answer(&listener, BAD).await;
        assert!(asked.starts_with("GET /up HTTP/1.1\r\nHost: users.example\r\n"), "{asked}");
        assert_eq!(asked.to_lowercase().matches("accept:").count(), 1);
        assert!(asked.contains("x-probe: 1\r\n"));
        answer(&listener, "HTTP/1.1 401 Unauthorized\r\n\r\n").await;
        let mut changes = registry.health_changes();
        assert_eq!(*changes.borrow_and_update(), 0);
        answer(&listener, OK).await;
        changes.changed().await.unwrap();
        assert_eq!(registry.summary(Instant::now())[0].instances[0].standing, Standing::Unhealthy);
    });
}

#[test]
fn an_instance_that_starts_unhealthy_needs_one_success_and_a_connection_is_one() {
    let registry = Arc::new(Registry::new());
    let check = HealthCheckDocument {
        kind: ProbeDocument::Tcp,
        starts_unhealthy: true,
        healthy_after: 3,
        unhealthy_interval_ms: 3_600_000,
        ..fast()
    };
    with_checks(&registry, async {
        let (listener, address) = listen().await;
        let service = live(with_instance(address, check), &registry);
        assert!(pick(&service, BreakerUse::Shared, Instant::now()).is_err());
        listener.accept().await.unwrap();
        registry.health_changes().wait_for(|count| *count > 0).await.unwrap();
        assert!(pick(&service, BreakerUse::Shared, Instant::now()).is_ok());
    });
}

#[test]
fn an_unhealthy_instance_is_asked_at_its_own_interval() {
    let registry = Arc::new(Registry::new());
    let check = HealthCheckDocument { interval_ms: 3_600_000, unhealthy_after: 1, ..fast() };
    with_checks(&registry, async {
        let (listener, address) = listen().await;
        live(with_instance(address, check), &registry);
        // The second comes at once, not in an hour.
        answer(&listener, BAD).await;
        answer(&listener, OK).await;
        answer(&listener, OK).await;
        registry.health_changes().wait_for(|count| *count > 1).await.unwrap();
    });
}
