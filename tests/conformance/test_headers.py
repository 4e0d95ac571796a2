"""Headers that say who calls, from where, and what may pass: only the gateway's word reaches a service."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.conftest import Matrix, check_refusal

IDENTITY = ["X-User-ID", "X-User-Scopes", "X-Partner-ID"]
SETTINGS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def folded(name: str) -> str:
    """What a service that takes `_`, `.` and `-` for the same and ignores case sees (CGI, WSGI, PHP)."""
    return name.lower().replace("_", "-").replace(".", "-")


def ask(matrix: Matrix, *lines: str, source: str = "127.0.0.1"):
    text = "".join(f"{line}\r\n" for line in lines)
    return matrix.ask(f"GET /headers HTTP/1.1\r\nHost: a\r\n{text}\r\n".encode("latin-1"), source)


@st.composite
def spellings(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(IDENTITY))
    pieces = [
        draw(st.sampled_from([piece, piece.lower(), piece.upper(), piece.swapcase()]))
        for piece in name.split("-")
    ]
    marks = [draw(st.sampled_from("-_.")) for _ in pieces]
    return "".join(itertools.chain.from_iterable(zip(pieces, marks, strict=True)))[:-1]


@SETTINGS
@given(names=st.lists(spellings(), min_size=1, max_size=3), option=st.booleans())
def test_identity_headers_of_a_client_reach_no_service_in_any_spelling(
    matrix: Matrix, names: list[str], option: bool
) -> None:
    """Also where `Connection` names them (Traefik 2024-45410, 2026-29054)."""
    lines = [f"{name}: forged" for name in names]
    if option:
        lines.append("Connection: " + ", ".join([*IDENTITY, *names]))
    answer, received, _ = ask(matrix, *lines)
    assert answer.status in {200, 400}
    if received is not None:
        assert not {folded(name) for name, _ in received.headers} & {folded(name) for name in IDENTITY}


def test_identity_headers_in_trailers_reach_no_service(matrix: Matrix) -> None:
    """Traefik 2026-88004."""
    trailers = b"".join(
        b"%s: forged\r\n" % name.encode() for name in [*IDENTITY, "x_user_id", "X.User.Id", "Authorization"]
    )
    answer, received, _ = matrix.ask(
        b"POST /headers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        + trailers
        + b"\r\n"
    )
    assert answer.status == 200
    assert received is not None
    assert received.trailers == []


PROTECTED = [
    "Host",
    "X-Request-ID",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "Content-Length",
    "Traceparent",
    "Transfer-Encoding",
    "X-User-ID",
]


@pytest.mark.parametrize("name", PROTECTED)
def test_connection_cannot_take_away_what_the_gateway_says(matrix: Matrix, name: str) -> None:
    told = f"X-Request-ID: mine\r\nConnection: {name}\r\nContent-Length: 2"
    asked = f"POST /headers HTTP/1.1\r\nHost: a\r\n{told}\r\n\r\nok"
    answer, received, _ = matrix.ask(asked.encode())
    assert answer.status == 200
    assert received is not None
    assert received.body == b"ok"
    assert (received.get("host"), received.get("x-request-id")) == ("a", "mine")
    assert received.get("x-forwarded-for") == "127.0.0.1"
    assert received.get("x-forwarded-host") == "a"
    assert received.get("x-forwarded-proto") == "http"
    assert received.get("traceparent")


HOP_BY_HOP = [
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Upgrade",
    "Proxy-Authorization",
    "Expect",
]


@pytest.mark.parametrize("name", [name for name in HOP_BY_HOP if name != "Expect"])
def test_headers_of_one_connection_stay_on_it(matrix: Matrix, name: str) -> None:
    answer, received, _ = ask(matrix, f"{name}: x", "Connection: X-Mine", "X-Mine: 1", "X-Other: 2")
    assert answer.status == 200
    assert received is not None
    assert (received.get(name), received.get("x-mine"), received.get("x-other")) == (None, None, "2")


ADDRESSES = st.sampled_from([
    "203.0.113.9",
    "127.0.0.2",
    "::1",
    "[2001:db8::1]:80",
    "198.51.100.7:1234",
    "::ffff:203.0.113.9",
    "unknown",
    "_x",
    "",
    "1.2.3",
    "\xe4",
])


@SETTINGS
@given(chain=st.lists(ADDRESSES, min_size=1, max_size=4), split=st.booleans())
def test_forwarded_addresses_of_strangers_are_not_believed(
    matrix: Matrix, chain: list[str], split: bool
) -> None:
    lines = (
        [f"X-Forwarded-For: {one}" for one in chain] if split else ["X-Forwarded-For: " + ", ".join(chain)]
    )
    _, received, recorded = ask(
        matrix,
        *lines,
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "X-Real-IP: 1.1.1.1",
        "Forwarded: for=1.1.1.1",
    )
    assert received is not None
    assert recorded()["client_ip"] == "127.0.0.1"
    assert received.get("x-forwarded-for") == "127.0.0.1"
    assert (received.get("x-forwarded-proto"), received.get("x-forwarded-host")) == ("http", "a")
    assert (received.get("x-real-ip"), received.get("forwarded")) == (None, None)


@SETTINGS
@given(chain=st.lists(ADDRESSES, min_size=1, max_size=4), split=st.booleans())
def test_forwarded_addresses_of_a_trusted_proxy_name_the_last_stranger(
    matrix: Matrix, chain: list[str], split: bool
) -> None:
    """However the list is split over headers; what is no address where one is needed is refused."""
    lines = (
        [f"X-Forwarded-For: {one}" for one in chain] if split else ["X-Forwarded-For: " + ", ".join(chain)]
    )
    answer, received, recorded = ask(matrix, *lines, source="127.0.0.2")
    known = {
        "203.0.113.9": "203.0.113.9",
        "::ffff:203.0.113.9": "203.0.113.9",
        "[2001:db8::1]:80": "2001:db8::1",
    }
    known |= {"127.0.0.2": "127.0.0.2", "::1": "::1", "198.51.100.7:1234": "198.51.100.7"}
    read = [known.get(one) for one in reversed(chain)]
    stranger = next((at for at, one in enumerate(read) if one != "127.0.0.2"), len(read) - 1)
    if read[stranger] is None:
        check_refusal(answer)
        assert received is None
        return
    assert received is not None
    assert recorded()["client_ip"] == read[stranger]
    assert (received.get("x-forwarded-for") or "").endswith("127.0.0.2")


VALUES = ["yes", "no", "yes, no", "no, yes", "yes,yes", "", " yes", "YES", "yes\x80", "\xe4", "yes;q=1"]


@pytest.mark.parametrize(
    "values", [*((one,) for one in VALUES), *itertools.permutations(["yes", "no", "yes\x80"], 2)], ids=repr
)
def test_rule_on_a_header_holds_for_every_order_and_split(matrix: Matrix, values: tuple[str, ...]) -> None:
    """A route allows `X-Allow: yes`, another denies the rest: Envoy 2020-25017, 2026-26308, 2026-73552."""
    text = "".join(f"X-Allow: {value}\r\n" for value in values)
    answer, received, _ = matrix.ask(f"GET /match/ HTTP/1.1\r\nHost: a\r\n{text}\r\n".encode("latin-1"))
    stripped = [value.strip() for value in values]
    # One of several is enough, wherever it stands; a value is never split at commas.
    assert answer.status == (200 if "yes" in stripped else 403)
    if received is not None:
        assert received.all("x-allow") == stripped


@pytest.mark.parametrize("value", [b"a\0b", b"a\x01b", b"a\x7fb", b"a\x1bb", b"a\rb", b"a\nb", b"a\r\n b"])
def test_control_characters_in_values_are_refused(matrix: Matrix, value: bytes) -> None:
    answer, received, _ = matrix.ask(b"GET /headers HTTP/1.1\r\nHost: a\r\nX: " + value + b"\r\n\r\n")
    check_refusal(answer)
    assert received is None


@pytest.mark.parametrize("sent", ["a" * 128, "x-1", "a" * 129, "", "a b", "a\x80b", "one, two"])
def test_request_id_goes_through_where_it_is_sane(matrix: Matrix, sent: str) -> None:
    answer, received, recorded = ask(matrix, f"X-Request-ID: {sent}")
    assert received is not None
    is_sane = 1 <= len(sent) <= 128 and all("!" <= character <= "~" for character in sent)
    assert (answer.get("x-request-id") == sent) == is_sane
    assert received.all("x-request-id") == [answer.get("x-request-id")] == [recorded()["request_id"]]


def test_repeated_request_id_is_replaced_by_one(matrix: Matrix) -> None:
    answer, received, _ = ask(matrix, "X-Request-ID: a", "x-request-id: b")
    assert received is not None
    assert received.all("x-request-id") == [answer.get("x-request-id")]
    assert answer.get("x-request-id") not in {"a", "b"}
