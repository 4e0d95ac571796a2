"""Paths: what was routed and recorded is what the service gets, no spelling reaches what another may not."""

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.conftest import Matrix, check_refusal
from conformance.spellings import (
    FOREIGN_TARGETS,
    FORMS,
    HOSTS,
    KNOWN,
    PIECES,
    PREFIXES,
    TAILS,
    WRONG_HOST_LINES,
)

SEGMENT = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join)
PATHS = st.builds(
    lambda prefix, segments, slash: prefix + "/" + "/".join(segments) + slash,
    st.sampled_from(PREFIXES),
    st.lists(SEGMENT, max_size=4),
    st.sampled_from(TAILS),
)


def lenient(path: str) -> str:
    """The path that a forgiving service sees: decoded once, without parameters, dots resolved."""
    path = unquote(path.partition("?")[0], "latin-1")
    path = path.replace("\\", "/").split("\0")[0]
    bare = "/".join(segment.partition(";")[0] for segment in path.split("/"))
    return posixpath.normpath("/" + bare.lstrip("/"))


def ask(matrix: Matrix, target: str, host: str = "a"):
    return matrix.ask(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))


def check_agreement(matrix: Matrix, target: str) -> None:
    answer, received, recorded = ask(matrix, target)
    if answer.status == 400:
        check_refusal(answer)
        assert received is None
        return
    record = recorded()
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
@given(path=PATHS, form=st.sampled_from(FORMS))
def test_generated_paths_are_refused_or_the_same_for_everybody(matrix: Matrix, path: str, form: str) -> None:
    if " " not in path:
        check_agreement(matrix, form + path)


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


@pytest.mark.parametrize(("sent", "seen"), HOSTS)
def test_host_has_one_spelling_or_is_refused(matrix: Matrix, sent: str, seen: str | None) -> None:
    answer, received, recorded = ask(matrix, "/host", sent)
    if seen is None:
        check_refusal(answer)
        assert received is None
        return
    assert received is not None
    assert received.all("host") == [seen]
    assert received.get("x-forwarded-host") == seen
    assert recorded()["host"] == seen.partition(":80")[0]


@pytest.mark.parametrize("target", FOREIGN_TARGETS)
def test_target_that_names_another_host_is_refused(matrix: Matrix, target: str) -> None:
    answer, received, _ = ask(matrix, target, "a:80" if "https" not in target else "a:443")
    check_refusal(answer)
    assert received is None


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
def test_target_says_https_only_where_a_trusted_proxy_says_it_too(matrix: Matrix, source: str) -> None:
    """RFC 9110 section 7.4."""
    asked = (
        b"GET https://a/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 8.8.8.8\r\n\r\n"
    )
    answer, received, _ = matrix.ask(asked, source)
    if source == "127.0.0.1":
        check_refusal(answer)
        assert received is None
        return
    assert received is not None
    assert (received.target, received.get("x-forwarded-proto")) == ("/x", "https")


@pytest.mark.parametrize("lines", WRONG_HOST_LINES)
def test_host_is_there_exactly_once(matrix: Matrix, lines: bytes) -> None:
    answer, received, _ = matrix.ask(b"GET /host HTTP/1.1\r\n" + lines + b"\r\n")
    check_refusal(answer)
    assert received is None
