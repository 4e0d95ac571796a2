"""Static routes: which file a path names, what a client that has it gets, and that nothing else is sent."""

import gzip
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from conformance.test_paths import KNOWN, PATHS
from gateway import Client, Node, Response, encode, get, raw, request
from gatewright._engine import decide

CANARY = b"outside-of-the-root"
DATA = bytes(range(256)) * 40


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A root with files of every kind, and a canary beside it."""
    root = tmp_path / "root"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".well-known").mkdir()
    (root / "index.html").write_text("<h1>home</h1>")
    (root / "docs" / "index.html").write_text("<h1>docs</h1>")
    (root / "docs" / "a b.txt").write_text("spaces")
    (root / "data.bin").write_bytes(DATA)
    (root / "nothing").write_bytes(b"")
    (root / ".env").write_bytes(CANARY)
    (root / ".well-known" / "security.txt").write_text("call us")
    (tmp_path / "canary").write_bytes(CANARY)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "canary").write_bytes(CANARY)
    (root / "link").symlink_to("docs/index.html")
    (root / "out").symlink_to("../canary")
    (root / "absolute").symlink_to(tmp_path / "canary")
    (root / "away").symlink_to("../outside")
    (root / "device").symlink_to("/dev/zero")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(root / "socket"))
    return root


def static(root: Path, options: str = "", route: str = "", path: str = "/*") -> str:
    """A configuration of one static route."""
    more = f", {options}" if options else ""
    return f'routes: [{{name: files, match: "{path}", static: {{root: "{root}"{more}}}{route}}}]\n'


@pytest.fixture
def node(site: Path) -> Iterator[Node]:
    """The root, as it is served by default."""
    with Node(static(site)) as node:
        yield node


def test_a_file_comes_with_its_type_length_and_validators(node: Node, site: Path) -> None:
    response = get(node.address, "/data.bin")
    assert (response.status, response.body) == (200, DATA)
    assert response.get("content-type") == "application/octet-stream"
    assert response.get("accept-ranges") == "bytes"
    assert re.fullmatch('"[0-9a-f.-]+"', response.get("etag") or "")
    assert response.get("last-modified")
    assert response.get("x-content-type-options") == "nosniff"
    record = node.record()
    assert (record["route_id"], record["status"]) == ("files", 200)
    step = record["decisions"][-1]
    assert (step["stage"], step["verdict"], step["inputs"]) == ("respond", "file", {"name": "data.bin"})
    head = request(node.address, "/data.bin", method="HEAD")
    assert (head.get("content-length"), head.body, head.get("etag")) == ("10240", b"", response.get("etag"))
    empty = get(node.address, "/nothing")
    assert (empty.status, empty.get("content-length")) == (200, "0")


def test_a_directory_is_its_index_and_without_a_slash_a_redirect(node: Node) -> None:
    assert get(node.address, "/").body == b"<h1>home</h1>"
    index = get(node.address, "/docs/")
    assert (index.body, index.get("content-type")) == (b"<h1>docs</h1>", "text/html; charset=utf-8")
    moved = get(node.address, "/docs?a=b")
    assert (moved.status, moved.get("location")) == (308, "/docs/?a=b")
    for path in ("/empty/", "/data.bin/", "/docs/deep/", "/nowhere"):
        missing = get(node.address, path)
        assert (missing.status, missing.json()["error"]) == (404, "no_file"), path


def test_escapes_are_decoded_and_links_within_the_root_followed(node: Node) -> None:
    assert get(node.address, "/docs/a%20b.txt").body == b"spaces"
    assert get(node.address, "/link").body == b"<h1>docs</h1>"


@pytest.mark.parametrize(
    "path",
    ["/out", "/absolute", "/away/canary", "/device", "/fifo", "/socket", "/.env", "/%2Eenv", "/docs/../.env"],
)
def test_links_out_pipes_devices_sockets_and_hidden_files_are_not_there(node: Node, path: str) -> None:
    missing = get(node.address, path)
    assert (missing.status, CANARY in missing.body) == (404, False)


def test_hidden_files_are_served_where_the_route_says_so(site: Path, node: Node) -> None:
    assert get(node.address, "/.well-known/security.txt").body == b"call us"
    with Node(static(site, "hidden: true")) as hidden:
        assert get(hidden.address, "/.env").body == CANARY


@pytest.mark.parametrize("path", [target for target, _ in KNOWN])
def test_known_ways_out_lead_nowhere(node: Node, path: str) -> None:
    check_inside(node, path)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(path=PATHS)
def test_generated_paths_never_leave_the_root(node: Node, path: str) -> None:
    for target in (path, path.replace("admin", "../canary"), path.replace("admin", "away/canary")):
        if " " not in target:
            check_inside(node, target)


def check_inside(node: Node, target: str) -> None:
    exchange = raw(node.address, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
    response = exchange.only
    assert response.status in {200, 308, 400, 404}, (target, response)
    assert CANARY not in response.body, target


def test_other_methods_are_refused_with_allow(node: Node) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        refused = request(node.address, "/data.bin", method=method)
        assert (refused.status, refused.get("allow")) == (405, "GET, HEAD")


def test_conditions_are_answered_with_304_and_412(node: Node) -> None:
    full = get(node.address, "/data.bin")
    etag, modified = full.get("etag") or "", full.get("last-modified") or ""
    before = "Sun, 06 Nov 1994 08:49:37 GMT"
    for headers, status in [
        ([("If-None-Match", etag)], 304),
        ([("If-None-Match", f'"x", W/{etag}')], 304),
        ([("If-None-Match", '"x"')], 200),
        ([("If-Modified-Since", modified)], 304),
        ([("If-Modified-Since", before)], 200),
        ([("If-Match", etag)], 200),
        ([("If-Match", '"x"')], 412),
        ([("If-Unmodified-Since", before)], 412),
        ([("If-Unmodified-Since", modified)], 200),
    ]:
        response = request(node.address, "/data.bin", headers)
        assert response.status == status, headers
        if status == 412:
            assert response.json()["error"] == "precondition_failed"
        if status == 304:
            assert (response.get("etag"), response.body) == (etag, b"")
            assert response.get("content-length") is None


def test_the_first_index_that_is_there_answers_for_its_directory(site: Path) -> None:
    with Node(static(site, "index: [start.html, index.html]")) as node:
        assert get(node.address, "/docs/").body == b"<h1>docs</h1>"
        (site / "docs" / "start.html").write_text("<h1>start</h1>")
        assert get(node.address, "/docs/").body == b"<h1>start</h1>"


def test_a_changed_file_has_another_tag(node: Node, site: Path) -> None:
    old = get(node.address, "/index.html").get("etag") or ""
    (site / "index.html").write_text("<h1>new!</h1>")
    assert get(node.address, "/index.html", ("If-None-Match", old)).body == b"<h1>new!</h1>"


def test_single_ranges_are_parts_of_the_file(node: Node) -> None:
    for value, (first, last) in {
        "bytes=0-0": (0, 0),
        "bytes=100-199": (100, 199),
        "bytes=10000-": (10000, 10239),
        "bytes=-10": (10230, 10239),
        "bytes=10-99999": (10, 10239),
    }.items():
        part = get(node.address, "/data.bin", ("Range", value))
        assert (part.status, part.body) == (206, DATA[first : last + 1]), value
        assert part.get("content-range") == f"bytes {first}-{last}/10240"
    beyond = get(node.address, "/data.bin", ("Range", "bytes=10240-"))
    assert (beyond.status, beyond.get("content-range")) == (416, "bytes */10240")
    assert beyond.json()["error"] == "range_not_satisfiable"
    assert get(node.address, "/data.bin", ("Range", "lines=1-2")).status == 200
    head = request(node.address, "/data.bin", [("Range", "bytes=0-0")], "HEAD")
    assert (head.status, head.get("content-length")) == (200, "10240")


def test_several_ranges_come_as_one_multipart_body(node: Node) -> None:
    response = get(node.address, "/data.bin", ("Range", "bytes=0-9, 5000-5009, -10"))
    assert response.status == 206
    assert response.get("content-range") is None
    found = re.fullmatch("multipart/byteranges; boundary=([0-9a-f]{32})", response.get("content-type") or "")
    assert found
    parts = response.body.split(f"\r\n--{found[1]}".encode())
    assert (parts[0], parts[-1]) == (b"", b"--\r\n")
    expected = [(0, 9), (5000, 5009), (10230, 10239)]
    for part, (first, last) in zip(parts[1:-1], expected, strict=True):
        head, _, data = part.partition(b"\r\n\r\n")
        assert data == DATA[first : last + 1]
        assert f"content-range: bytes {first}-{last}/10240".encode() in head


def test_nobody_gets_more_bytes_by_asking_for_parts(node: Node) -> None:
    for value in ("bytes=0-,0-,0-", "bytes=" + ",".join(["0-0"] * 17)):
        response = get(node.address, "/data.bin", ("Range", value))
        assert (response.status, response.body) == (200, DATA)


def test_if_range_gives_the_whole_of_another_file(node: Node) -> None:
    etag = get(node.address, "/data.bin").get("etag") or ""
    for condition, status in {etag: 206, '"x"': 200, f"W/{etag}": 200}.items():
        part = get(node.address, "/data.bin", ("Range", "bytes=0-0"), ("If-Range", condition))
        assert part.status == status


def test_a_fallback_stands_in_for_every_missing_file(site: Path) -> None:
    with Node(static(site, "fallback: index.html, cache_control: 'max-age=60'")) as node:
        page = get(node.address, "/users/7/edit")
        assert (page.status, page.body) == (200, b"<h1>home</h1>")
        assert page.get("cache-control") == "no-cache"
        assert get(node.address, "/data.bin").get("cache-control") == "max-age=60"
        assert get(node.address, "/out").body == b"<h1>home</h1>"


def test_compressed_siblings_are_sent_to_those_who_take_them(site: Path) -> None:
    (site / "app.js").write_text("plain")
    (site / "app.js.gz").write_bytes(gzip.compress(b"plain"))
    (site / "app.js.br").write_bytes(b"br-bytes")
    (site / "docs" / "index.html.gz").symlink_to("../../canary")
    with Node(static(site, "precompressed: [br, zst, gz]")) as node:
        tags = set()
        for accept, coding, body in [
            ("gzip, br, zstd", "br", b"br-bytes"),
            ("gzip", "gzip", gzip.compress(b"plain")),
            ("zstd", None, b"plain"),
            ("br;q=0, gzip;q=0", None, b"plain"),
            ("identity, br;q=0.5", None, b"plain"),
        ]:
            response = get(node.address, "/app.js", ("Accept-Encoding", accept))
            assert (response.get("content-encoding"), response.get("vary")) == (coding, "Accept-Encoding")
            assert response.body[10:] == body[10:]
            assert response.get("content-type") == "text/javascript; charset=utf-8"
            tags.add((coding, response.get("etag")))
        assert len(tags) == len({tag for _, tag in tags}) == 3
        linked = get(node.address, "/docs/", ("Accept-Encoding", "gzip"))
        assert (linked.get("content-encoding"), linked.body) == (None, b"<h1>docs</h1>")


def test_types_and_headers_are_the_configurations_to_change(site: Path) -> None:
    (site / "a.xyz").write_text("x")
    changes = ", response_headers: {set: {Cache-Control: mine, ETag: '\"mine\"'}}"
    with Node(static(site, "types: {.XYZ: text/x-y}, cache_control: theirs", changes)) as node:
        response = get(node.address, "/a.xyz")
        assert response.get("content-type") == "text/x-y"
        assert response.get("cache-control") == "mine"
        assert response.get("etag") == '"mine"'


def test_a_prefix_is_taken_from_the_path(site: Path) -> None:
    with Node(static(site, "", ", strip_prefix: /assets", "/assets/*")) as node:
        assert get(node.address, "/assets/data.bin").body == DATA
        assert get(node.address, "/assets").get("location") == "/assets/"
        assert get(node.address, "/assets/").body == b"<h1>home</h1>"


def test_another_root_in_its_place_is_served_at_once(site: Path) -> None:
    new = site.parent / "new"
    new.mkdir()
    (new / "index.html").write_text("new")
    live = site.parent / "live"
    live.symlink_to("root")
    with Node(static(live)) as node:
        assert get(node.address, "/").body == b"<h1>home</h1>"
        live.unlink()
        live.symlink_to("new")
        assert get(node.address, "/").body == b"new"


@pytest.mark.parametrize("change", ["truncated", "replaced", "appended"])
def test_a_file_changed_while_it_is_sent_cuts_the_connection(node: Node, site: Path, change: str) -> None:
    large = site / "large"
    large.write_bytes(bytes(64 << 20))
    with Client(node.address) as client:
        client.send(encode("/large"))
        first = client.receive()
        if change == "truncated":
            os.truncate(large, 1000)
        elif change == "appended":
            with large.open("ab") as file:
                file.write(b"more")
        else:
            large.write_bytes(bytes(64 << 20))
        received = len(first) + len(client.rest())
    assert received < 64 << 20
    record = node.record()
    assert (record["status"], record["error_type"]) == (200, "file_changed")


def test_a_large_file_arrives_whole_and_nothing_is_left_under_way(node: Node, site: Path) -> None:
    large = site / "large"
    large.write_bytes(DATA * 1000)
    response = get(node.address, "/large")
    assert response.body == DATA * 1000
    node.record()
    assert node.metric("gateway_file_transfers") == 0


def test_more_files_than_the_bound_are_refused(site: Path) -> None:
    (site / "large").write_bytes(bytes(32 << 20))
    with Node(static(site) + "node: {max_file_transfers: 1}\n") as node, Client(node.address) as slow:
        slow.send(encode("/large"))
        slow.receive()
        assert node.metric("gateway_file_transfers") == 1
        refused: Response = get(node.address, "/index.html")
        assert (refused.status, refused.json()["error"], refused.get("retry-after")) == (
            503,
            "overloaded",
            "1",
        )


def test_what_would_become_of_a_request_is_told_without_looking_for_a_file(node: Node) -> None:
    asked = {"method": "GET", "target": "/nowhere", "host": "a", "headers": [], "peer": "127.0.0.1"}
    asked |= {"listener": None, "now_ms": 0, "content_length": None}
    (verdict,) = json.loads(decide(node.snapshot, b"{}", json.dumps([asked]).encode()))
    assert (verdict["action"], verdict["route"], verdict["status"]) == ("file", "files", None)
