//! Texts of the configuration that stand in heads as they are. Python refuses bad ones with a better message; this keeps
//! a line end, or a second framing, out of every message whoever hands the snapshot down.

use crate::http1::fields::is_token;
use crate::snapshot::document::{ActionDocument, HeaderChangesDocument, RouteDocument};

/// Headers that belong to one connection or frame a message: the gateway's own to set.
const OURS: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The error names the route and the text.
pub(super) fn check(route: &RouteDocument) -> Result<(), String> {
    let found = changes(&route.request_headers)
        .and_then(|()| changes(&route.response_headers))
        .and_then(|()| action(&route.action))
        .and_then(|()| route.sunset.iter().chain(&route.deprecation_link).try_for_each(|text| value(text)))
        .and_then(|()| cors(route));
    found.map_err(|error| format!("{}: route `{}`: {error}", route.at, route.name))
}

fn changes(changes: &HeaderChangesDocument) -> Result<(), String> {
    changes.remove.iter().try_for_each(|one| name(one))?;
    changes.set.iter().chain(&changes.add).try_for_each(|(one, text)| line(one, text))
}

fn action(action: &ActionDocument) -> Result<(), String> {
    match action {
        ActionDocument::Redirect { to, .. } => value(to),
        ActionDocument::Respond { headers, .. } => headers.iter().try_for_each(|(one, text)| line(one, text)),
        ActionDocument::Files(files) => {
            files.cache_control.iter().chain(files.types.values()).try_for_each(|text| value(text))
        }
        ActionDocument::Proxy(_) | ActionDocument::Login { .. } | ActionDocument::Health {} => Ok(()),
    }
}

fn cors(route: &RouteDocument) -> Result<(), String> {
    let Some(cors) = &route.cors else { return Ok(()) };
    let lists = [&cors.allow_origins, &cors.allow_methods, &cors.allow_headers, &cors.expose_headers];
    lists.into_iter().flatten().try_for_each(|text| value(text))
}

fn line(one: &str, text: &str) -> Result<(), String> {
    name(one).and_then(|()| value(text))
}

fn name(name: &str) -> Result<(), String> {
    if !is_token(name.as_bytes()) || OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return Err(format!("header `{}` cannot be changed", name.escape_debug()));
    }
    Ok(())
}

fn value(text: &str) -> Result<(), String> {
    if text.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()) {
        return Err(format!("`{}` holds a line end or another control character", text.escape_debug()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use serde_json::{Value, json};

    use crate::engine::decide;
    use crate::testing::{fixed, proxied, route, snapshot};

    /// What compiling says of a route.
    fn compiled(route: &Value) -> Result<(), String> {
        let origin = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let document = snapshot(origin, std::slice::from_ref(route)).to_string();
        decide(document.as_bytes(), b"{}", b"[]").map(|_| ()).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn no_text_of_a_route_can_end_a_line() {
        let text = "a\r\nset-cookie: b";
        let redirect = route("/", &json!({"redirect": {"status": 302, "to": text}}));
        let mut answer = fixed("/", "");
        answer["action"]["respond"]["headers"] = json!({ "x-a": text });
        let (mut sent, mut given, mut named) = (proxied("/"), proxied("/"), proxied("/"));
        sent["request_headers"]["set"] = json!({ "x-a": text });
        given["response_headers"]["add"] = json!({ "x-a": text });
        named["response_headers"]["set"] = json!({ (text): "a" });
        for route in [redirect, answer, sent, given, named] {
            let error = compiled(&route).unwrap_err();
            assert!(error.contains("t:1:1: route `/`: "), "{error}");
        }
    }

    #[test]
    fn no_route_can_set_what_frames_a_message() {
        for name in ["content-length", "transfer-encoding", "connection", "Host", "proxy-connection"] {
            for option in ["request_headers", "response_headers"] {
                let mut route = proxied("/");
                route[option]["set"] = json!({ (name): "1" });
                assert!(compiled(&route).is_err(), "{option} {name}");
            }
        }
        let mut route = proxied("/");
        route["request_headers"]["set"] = json!({ "x-a": "\tgood \u{e9}" });
        assert_eq!(compiled(&route), Ok(()));
    }
}
