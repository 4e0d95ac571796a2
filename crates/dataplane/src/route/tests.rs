//! The table against cases, against a naive reference, and against the clock.

use proptest::prelude::*;

use super::*;
use crate::snapshot::document::{
    ActionDocument, HeaderChangesDocument, HttpsOnlyDocument, MatchDocument, PathMatchDocument, Priority,
    ProxyDocument, RewriteDocument, RouteDocument, ValueMatchDocument, ValueTestDocument,
};

mod cases;
mod reference;
mod timing;

fn identity(path: &str) -> Result<String, String> {
    Ok(path.to_owned())
}

fn exact(path: &str) -> PathMatchDocument {
    PathMatchDocument::Exact(path.to_owned())
}

fn pattern(path: &str) -> PathMatchDocument {
    PathMatchDocument::Pattern(path.to_owned())
}

fn prefix(path: &str) -> PathMatchDocument {
    PathMatchDocument::Prefix(path.to_owned())
}

fn regex(path: &str) -> PathMatchDocument {
    PathMatchDocument::Regex(path.to_owned())
}

fn route(path: PathMatchDocument) -> RouteDocument {
    RouteDocument {
        name: "one".to_owned(),
        at: "gateway.yaml:1:1".to_owned(),
        matching: MatchDocument { path, ..MatchDocument::default() },
        precedence: 0,
        action: ActionDocument::Health {},
        auth: None,
        https_only: HttpsOnlyDocument::Off,
        screen: None,
        rate_limit: None,
        tenants: None,
        timeout_ms: 10_000,
        max_body_bytes: 0,
        priority: Priority::P2,
        forward_authorization: false,
        forward_api_key: false,
        request_headers: HeaderChangesDocument::default(),
        response_headers: HeaderChangesDocument::default(),
        security_headers: true,
        cors: None,
        deprecated: false,
        sunset: None,
        deprecation_link: None,
        gone_after_ms: None,
        error_pages: None,
        compression: None,
        retry: None,
        hedge: None,
        trace_sample: None,
        cross_site: None,
        recording: None,
    }
}

impl RouteDocument {
    fn hosts(mut self, hosts: &[&str]) -> Self {
        self.matching.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        self
    }

    fn methods(mut self, methods: &[&str]) -> Self {
        self.matching.methods = methods.iter().map(|method| (*method).to_owned()).collect();
        self
    }

    fn header(mut self, name: &str, test: ValueTestDocument) -> Self {
        self.matching.headers.push(ValueMatchDocument { name: name.to_owned(), test });
        self
    }

    fn query(mut self, name: &str, test: ValueTestDocument) -> Self {
        self.matching.query.push(ValueMatchDocument { name: name.to_owned(), test });
        self
    }

    fn precedence(mut self, precedence: i32) -> Self {
        self.precedence = precedence;
        self
    }
}

fn equals(value: &str) -> ValueTestDocument {
    ValueTestDocument::Exact(value.to_owned())
}

/// A request as intake would have built it; `target` may have a query.
fn request(host: &str, target: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::new(std::net::IpAddr::from([127, 0, 0, 1]));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    // Something stands in front, so that spans which count from the path alone are found out.
    request.method_text = request.append(b"GET");
    request.host = request.append(host.as_bytes());
    request.path = request.append(path.as_bytes());
    request.query = query.map(|query| request.append(query.as_bytes()));
    for (name, value) in headers {
        let (name, value) = (request.append(name.as_bytes()), request.append(value.as_bytes()));
        request.headers.push(crate::request::Header { name, value, ..Default::default() });
    }
    request
}

fn compile(routes: &[RouteDocument]) -> Table {
    Table::compile(routes, identity).unwrap()
}

/// The index of the winner.
fn winner(routes: &[RouteDocument], host: &str, target: &str) -> Option<u32> {
    find(&compile(routes), &request(host, target, &[]), b"GET").ok().map(|found| found.route)
}
