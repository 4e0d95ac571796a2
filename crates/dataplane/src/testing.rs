//! What the tests of whole connections share: a gateway of one worker, services that follow a script, raw clients.
//! Every wait ends after `PATIENCE`, so that a hang is a failure with a name.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::engine::Engine;

pub const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway that ends with the test.
pub struct Gateway {
    pub engine: Engine,
    pub address: SocketAddr,
    version: u64,
    records: std::cell::RefCell<Vec<Value>>,
}

impl Gateway {
    /// Runs what `snapshot` describes; its first listener is the one that `connect` uses.
    pub fn start(snapshot: &Value) -> Self {
        let engine = Engine::new(br#"{"workers": 1, "identity_timeout_ms": 200}"#).unwrap();
        engine.start().unwrap();
        engine.apply(snapshot.to_string().as_bytes()).unwrap();
        let state: Value = serde_json::from_slice(&engine.state()).unwrap();
        let address = state["listeners"][0]["address"].as_str().unwrap().parse().unwrap();
        Self { engine, address, version: 1, records: std::cell::RefCell::default() }
    }

    pub fn apply(&mut self, mut snapshot: Value) {
        self.version += 1;
        snapshot["version"] = json!(self.version);
        self.engine.apply(snapshot.to_string().as_bytes()).unwrap();
    }

    pub fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// The only request of a connection of its own.
    pub fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.send(request);
        client.answer()
    }

    /// The first record that fits, waited for.
    pub fn record(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.records.borrow().iter().find(|record| fits(record)) {
                return found.clone();
            }
            assert!(Instant::now() < until, "no such record among {:?}", self.records.borrow());
            let lines = self.engine.next_records(1 << 20, Duration::from_millis(100));
            let batch = lines.map(|lines| lines.to_vec()).unwrap_or_default();
            let lines = batch.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            self.records.borrow_mut().extend(lines.map(|line| serde_json::from_slice(line).unwrap()));
        }
    }

    pub fn state(&self) -> Value {
        serde_json::from_slice(&self.engine.state()).unwrap()
    }

    /// Waits until a line of the metrics page is there.
    pub fn metric(&self, line: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.engine.metrics().lines().any(|one| one == line) {
            assert!(Instant::now() < until, "no `{line}`");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.engine.stop();
    }
}

/// One listener and the service `origin` at an address; routes as given.
pub fn snapshot(service: SocketAddr, routes: &[Value]) -> Value {
    json!({
        "format": 1, "version": 1,
        "node": {
            "name": "node", "software": "test", "max_in_flight": 100, "max_limit_keys": 1000,
            "record_queue": 1000, "token_cache": 16, "max_file_transfers": 100,
            "max_compressions": 10,
            "max_retry_memory_bytes": 1_000_000,
        },
        "listeners": [listener("public")],
        "services": [{
            "name": "origin", "at": "t:1:1",
            "instances": [{"name": service.to_string(), "address": service.to_string(), "weight": 1}],
            "balance": {"at": "t:1:1", "algorithm": "round_robin", "slow_start_ms": 0,
                "panic_threshold": 0, "ejection": null, "caps": {"max_in_flight": null, "rate": null}, "sticky": null},
            "health_check": null, "circuit_breaker": null, "own_breakers": [], "max_header_bytes": 16_384,
            "pool": {
                "max_connections": 10, "min_connections": 0, "max_pending": 10, "connect_timeout_ms": 2000,
                "idle_timeout_ms": 60000, "max_lifetime_ms": 300_000,
            },
            "protocol": "http1",
        }],
        "identities": [], "routes": routes, "unauthenticated_tier": null,
        "tiers": [{"name": "few", "at": "t:1:1", "limit": 1000, "window_ms": 60000, "per": ["client_ip"]}],
    })
}

pub fn listener(name: &str) -> Value {
    json!({
        "name": name, "at": "t:1:1", "protocols": ["http1", "http2"],
        "address": "127.0.0.1:0", "max_connections": 100,
        "header_timeout_ms": 10000, "idle_timeout_ms": 60000, "body_timeout_ms": 10000, "min_body_rate": 0,
        "write_timeout_ms": 10000, "max_header_bytes": 8192, "max_uri_bytes": 8192,
        "trusted_proxies": [], "path_parameters": "refuse", "tls": null,
        "http2": {
            "max_streams": 100, "max_resets": 200, "max_stream_errors": 1000, "max_overhead_frames": 1000,
            "max_continuations": 8, "max_pending_resets": 20,
            "stream_window_bytes": 262_144, "connection_window_bytes": 1_048_576,
        },
    })
}

/// A route for a prefix; `action` as in the snapshot.
pub fn route(prefix: &str, action: &Value) -> Value {
    json!({
        "name": prefix, "at": "t:1:1",
        "match": {"hosts": [], "path": {"prefix": prefix}, "methods": [], "headers": [], "query": []},
        "precedence": 0, "action": action, "auth": null, "rate_limit": null,
        "timeout_ms": 5000, "max_body_bytes": 1_048_576, "priority": "P1",
        "forward_authorization": false, "forward_api_key": false,
        "request_headers": {"remove": [], "set": {}, "add": {}},
        "response_headers": {"remove": [], "set": {}, "add": {}},
        "security_headers": false, "cors": null, "deprecated": false, "sunset": null,
    })
}

/// A route to the service.
pub fn proxied(prefix: &str) -> Value {
    let proxy = json!({
        "service": "origin", "strip_prefix": null, "rewrite": null, "circuit_breaker": "none", "host": "preserve",
    });
    route(prefix, &json!({ "proxy": proxy }))
}

/// A route that answers by itself.
pub fn fixed(prefix: &str, body: &str) -> Value {
    route(prefix, &json!({"respond": {"status": 200, "headers": {}, "body": body}}))
}

/// A bug in a stage, for the tests of what it may take down with it.
pub fn panic_where_asked(request: &crate::request::Request) {
    assert!(request.path() != "/panic", "as asked");
}

/// A service: `script` is run on a thread for each connection. The threads end with their clients.
pub fn service(script: impl Fn(&mut Client) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = std::sync::Arc::new(script);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let script = std::sync::Arc::clone(&script);
            std::thread::spawn(move || script(&mut Client::new(stream)));
        }
    });
    address
}

/// A service that gives the same bytes to each request without a body.
pub fn always(answer: &'static str) -> SocketAddr {
    service(move |client| {
        while client.head().is_some() {
            client.send(answer);
        }
    })
}

/// One end of a connection, read with a deadline.
pub struct Client {
    pub stream: TcpStream,
    pub unread: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// What the other end does with it is its own affair: it may have closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads once more. False at the end, however it came.
    pub fn fill(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(count) => {
                self.unread.extend_from_slice(&bytes[..count]);
                count > 0
            }
            Err(error) => {
                let is_late = matches!(error.kind(), std::io::ErrorKind::WouldBlock);
                assert!(!is_late, "nothing came; unread: {:?}", String::from_utf8_lossy(&self.unread));
                false
            }
        }
    }

    /// The next head with its empty line; `None` when the connection ended first.
    pub fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.unread.drain(..end + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.fill(), "the connection ended after {:?}", String::from_utf8_lossy(&self.unread));
        }
        self.unread.drain(..length).collect()
    }

    /// All that comes until the connection ends.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.unread)
    }

    /// The next answer to a request that is no HEAD.
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.answer_to_head();
        if let Some(length) = answer.header("content-length") {
            answer.body = self.exactly(length.parse().unwrap());
        } else if answer.header("transfer-encoding").is_some() {
            loop {
                while !self.unread.windows(2).any(|window| window == b"\r\n") {
                    assert!(self.fill(), "cut within a chunk");
                }
                let end = self.unread.windows(2).position(|window| window == b"\r\n").unwrap();
                let line = self.exactly(end + 2);
                let size = usize::from_str_radix(std::str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
                let data = self.exactly(size + 2);
                if size == 0 {
                    break;
                }
                answer.body.extend_from_slice(&data[..size]);
            }
        }
        answer
    }

    pub fn answer_to_head(&mut self) -> Answer {
        let head = self.head().expect("the connection ended without an answer");
        let status = head[9..12].parse().unwrap();
        Answer { status, head, body: Vec::new() }
    }
}
