"""Paths: what was routed and recorded is what the service gets, no spelling reaches what another may not."""

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.conftest import Matrix, check_refusal

PIECES = [
    "a",
    "admin",
    "ADMIN",
    ".",
    "..",
    "...",
    "",
    ";x",
    ";",
    "..;",
    "..;x=1",
    ".;/",
    "\\",
    "%2e",
    "%2E%2e",
    ".%2e",
    "%2f",
    "%2F",
    "%5c",
    "%00",
    "%0a",
    "%0d%0a",
    "%20",
    "%25",
    "%252e",
    "%252f",
    "%25252f",
    "%2",
    "%",
    "%zz",
    "%c0%af",
    "%c0%ae",
    "%e0%80%af",
    "%ff",
    "%c3%a9",
    "\xe9",
    "~",
    "%7e",
    "%7E",
    "%41",
    "|",
    "%7c",
    "{}",
    "*",
    "%2a",
    "@",
    ":",
    "+",
    "%2b",
    "&",
    "=",
    "'",
    "%3b",
    "%3f",
    "%23",
    "^",
    "`",
    '"',
    "<>",
    "[]",
]
SEGMENT = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join)
PREFIXES = [
    "",
    "/strip",
    "/admin",
    "/a/..",
    "/strip/../admin",
    "//admin",
    "/./admin",
    "/%61dmin",
    "/strip/%2e%2e/admin",
]
PATHS = st.builds(
    lambda prefix, segments, slash: prefix + "/" + "/".join(segments) + slash,
    st.sampled_from(PREFIXES),
    st.lists(SEGMENT, max_size=4),
    st.sampled_from(["", "/", "/.", "/..", "?q=1", "?/../admin", "?a=%2f..", "?"]),
)
FORMS = st.sampled_from(["", "", "http://a", "HTTP://A:80", "https://a"])


def lenient(path: str) -> str:
    """The path that a forgiving service sees: decoded once, without parameters, dots resolved."""
    path = unquote(path.partition("?")[0], "latin-1")
    path = path.replace("\\", "/").split("\0")[0]
    bare = "/".join(segment.partition(";")[0] for segment in path.split("/"))
    return posixpath.normpath("/" + bare.lstrip("/"))


def ask(matrix: Matrix, target: str, host: str = "a"):
    return matrix.ask(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))


def check_agreement(matrix: Matrix, target: str) -> None:
    answer, received, record = ask(matrix, target)
    if answer.status == 400:
        check_refusal(answer)
        assert received is None
        return
    if received is None:
        assert (answer.status, record["route_id"]) == (403, "secret")
        assert record["path"].partition("?")[0] == "/admin" or record["path"].startswith("/admin/")
        return
    assert answer.json()[1] == received.target
    path = received.target.partition("?")[0]
    if record["route_id"] == "all":
        assert record["path"].partition("?")[0] == path
        assert lenient(path) != "/admin" and not lenient(path).startswith("/admin/")
    else:
        assert record["route_id"] == "strip"
        assert record["path"].partition("?")[0] in {f"/strip{path}", "/strip"}
    assert not {"..", "."} & set(path.split("/"))
    # What the gateway wrote is what it would write again: nobody behind it sees another path.
    again, second, _ = ask(matrix, "/again" + received.target)
    assert (again.status, second and second.target) == (200, "/again" + received.target)


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(path=PATHS, form=FORMS)
def test_generated_paths_are_refused_or_the_same_for_everybody(matrix: Matrix, path: str, form: str) -> None:
    if " " not in path:
        check_agreement(matrix, form + path)


# Each reached something that its gateway's rules denied, in the gateway named beside it.
KNOWN = [
    ("/a/../admin", "Envoy 2019-9901: dots not resolved"),
    ("/a/%2e%2e/admin", "Envoy 2019-9901: dots escaped"),
    ("//admin", "Envoy 2019-9901: two slashes"),
    ("/a%2f..%2fadmin", "Envoy 2021-29492: escaped slash"),
    ("/a%5c..%5cadmin", "Envoy 2021-29492: escaped backslash"),
    ("/a/..;/admin", "Envoy 2026-73551: parameters of a dot segment"),
    ("/a/..;x=y/admin", "Envoy 2026-73551"),
    ("/a/%2e%2e;/admin", "Envoy 2026-73551"),
    ("/admin;x", "a segment with parameters"),
    ("/admin#x", "Envoy 2021-32779: fragment"),
    ("/a#/../admin", "HAProxy 2023-45539: fragment"),
    ("/admin%23", "fragment, escaped"),
    ("/admin%00", "NUL"),
    ("/admin%00.png", "NUL"),
    ("/\\admin", "backslash"),
    ("\\admin", "Traefik 2026-88009: rootless"),
    ("admin", "Traefik 2026-88009: rootless"),
    ("a/../admin", "rootless"),
    ("*", "asterisk form"),
    ("http://a", "absolute, without a path"),
    ("http://a/x/../admin", "absolute"),
    ("http://a/admin", "absolute"),
    ("http:/admin", "absolute with one slash"),
    ("//a/admin", "authority in origin form"),
    ("/strip/../admin", "Traefik 2026-40912: dots after a prefix"),
    ("/strip/%2e%2e/admin", "Traefik 2025-66490: escaped dots after a prefix"),
    ("/strip//admin", "two slashes after a prefix"),
    ("/strip/%2fadmin", "escaped slash after a prefix"),
    ("/strip/..%2fadmin", "APISIX 2021-43557"),
    ("/strip%2f..%2fadmin", "APISIX 2021-43557"),
    ("/strip/..", "above what is left"),
    ("/strip/../..", "above the root"),
    ("/..", "above the root"),
    ("/%c0%ae%c0%ae/admin", "overlong dots"),
    ("/a/..%c0%afadmin", "overlong slash"),
    ("/Admin", "another case is another path"),
    ("/{id}", "Envoy 2025-46821: template"),
    ("/a/*", "Envoy 2025-46821: asterisk"),
    ("/admin?", "empty query"),
    ("/admin/", "slash at the end"),
    ("/admin/.", "dot at the end"),
    ("/admin%2e%2e/x", "dots behind a name"),
]


@pytest.mark.parametrize(("target", "_why"), KNOWN, ids=[target for target, _ in KNOWN])
def test_known_ways_around_a_rule_are_none(matrix: Matrix, target: str, _why: str) -> None:
    check_agreement(matrix, target)


@pytest.mark.parametrize("escaped", ["%2e%2e", "%2E.", "%2f", "%2F", "%5c", "%00"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_separators_dots_and_nul_escaped_several_times_are_refused(
    matrix: Matrix, escaped: str, times: int
) -> None:
    """A service that decodes once more than the gateway must not find them either."""
    answer, received, _ = ask(matrix, "/a/" + escaped.replace("%", "%" + "25" * times) + "/admin")
    check_refusal(answer)
    assert received is None


def test_method_with_a_space_is_no_method(matrix: Matrix) -> None:
    """HAProxy 2021-39241."""
    answer, received, _ = matrix.ask(b"GET /admin? HTTP/1.1 /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, received) == (400, None)


HOSTS = [
    ("a", "a"),
    ("A", "a"),
    ("a.", "a"),
    ("A.", "a"),
    ("a:80", "a:80"),
    ("a.b-c_d", "a.b-c_d"),
    ("[::1]", "[::1]"),
    ("[::0001]:8080", "[::1]:8080"),
    ("127.0.0.1", "127.0.0.1"),
    ("", None),
    (".", None),
    ("a..b", None),
    (".a", None),
    ("a..", None),
    ("a:", None),
    ("a:0", None),
    ("a:65536", None),
    ("a:080", None),
    ("a:+80", None),
    ("a:b", None),
    ("a:80:80", None),
    ("::1", None),
    ("[::1", None),
    ("[a]", None),
    ("[::1]a", None),
    ("[fe80::1%25lo]", None),
    ("u@a", None),
    ("a/b", None),
    ("a\\b", None),
    ("a?b", None),
    ("a#b", None),
    ("a b", None),
    ("a,b", None),
    ("a%2eb", None),
    ("xn--a", "xn--a"),
    ("\xe4", None),
    ("a\tb", None),
    ("*", None),
    ("x" * 63, "x" * 63),
    ("x" * 64, None),
    (".".join(["x" * 49] * 6), None),
]


@pytest.mark.parametrize(("sent", "seen"), HOSTS)
def test_host_has_one_spelling_or_is_refused(matrix: Matrix, sent: str, seen: str | None) -> None:
    answer, received, record = ask(matrix, "/host", sent)
    if seen is None:
        check_refusal(answer)
        assert received is None
        return
    assert received is not None
    assert received.all("host") == [seen]
    assert received.get("x-forwarded-host") == seen
    assert record["host"] == seen.partition(":80")[0]


@pytest.mark.parametrize(
    "target",
    ["http://b/", "http://a:81/", "http://a.b/", "http://u@a/", "https://a:80/", "http:///", "http://a@/"],
)
def test_target_that_names_another_host_is_refused(matrix: Matrix, target: str) -> None:
    answer, received, _ = ask(matrix, target, "a:80" if "https" not in target else "a:443")
    check_refusal(answer)
    assert received is None


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nhost: b\r\n",
        b"Host : a\r\n",
        b"Host: a, a\r\n",
        b"Host: a\r\nHost:\r\n",
    ],
)
def test_host_is_there_exactly_once(matrix: Matrix, lines: bytes) -> None:
    answer, received, _ = matrix.ask(b"GET /host HTTP/1.1\r\n" + lines + b"\r\n")
    check_refusal(answer)
    assert received is None
