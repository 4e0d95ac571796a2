"""h2spec, every case of it, against the gateway: `make conformance-h2spec` prints the figures."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gateway import Authority, Node, Origin, listener, one_route, plain

# On a plain listener for both protocols, what is no preface is a request of HTTP/1.1, and is refused as one.
EXPLAINED = {"3.5. HTTP/2 Connection Preface: Sends invalid connection preface"}


@pytest.fixture(scope="module")
def h2spec(repository: Path) -> str:
    command = [repository / "scripts/h2spec.sh"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    return told.stdout.strip()


@pytest.mark.needs("go")
@pytest.mark.parametrize(
    ("over", "protocols", "expected"),
    [
        ("plain", "http2", set()),
        ("plain", "[http1, http2]", EXPLAINED),
        ("tls", "http2", set()),
        ("tls", "[http1, http2]", set()),
    ],
)
def test_every_case_of_h2spec_passes(
    h2spec: str, tmp_path: Path, over: str, protocols: str, expected: set[str]
) -> None:
    options = [f"protocols: {protocols}"]
    if over == "tls":
        pair = Authority(tmp_path).issue("gateway", "127.0.0.1")
        options.append(f"tls: {{certificates: {pair.yaml}}}")
    text = listener(", ".join(options))
    with Origin(plain(b"x" * 4096)) as origin, Node(one_route(origin, "websocket: true", text)) as node:
        secured = ["--tls", "--insecure"] if over == "tls" else []
        failed = run(h2spec, node, tmp_path / "report.xml", *secured)
        assert node.metric("gateway_worker_panics_total") == 0
    assert failed == expected


def run(h2spec: str, node: Node, report: Path, *options: str) -> set[str]:
    """The cases that fail."""
    host, port = node.address
    command = [
        h2spec,
        "--strict",
        "--host",
        host,
        "--port",
        str(port),
        "--junit-report",
        str(report),
        *options,
    ]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, timeout=300)
    tree = ElementTree.parse(report)  # noqa: S314 (h2spec has written it, and nobody else)
    suites = tree.getroot().iter("testsuite")
    cases = [(suite.get("name"), case) for suite in suites for case in suite.iter("testcase")]
    wrong = {"failure", "error", "skipped"}
    failed = {
        f"{suite}: {case.get('classname')}" for suite, case in cases if wrong & {part.tag for part in case}
    }
    print(f"\nh2spec: {len(cases)} cases, {len(cases) - len(failed)} passed")
    assert len(cases) > 140
    return failed
