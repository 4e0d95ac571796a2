"""Every refusal, metric, command, option and operation is in the papers, and no others (invariant 7)."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway import Authority
from gatewright import _engine
from gatewright.cli import COMMANDS
from gatewright.config import compile as compile_snapshot
from gatewright.config import load
from gatewright.config.models import Gateway
from gatewright.config.models.base import Section

CONFIGURATION = """\
version: 1
listeners: [{name: public, address: "127.0.0.1:8080"}]
admin: {address: "127.0.0.1:9901"}
services: [{name: users, instances: ["127.0.0.1:9001"], health_check: {path: /}}]
identities:
  - {name: issuer, kind: jwt, jwks: {url: "http://127.0.0.1:9001/absent.json", timeout: 100ms}}
  - {name: opaque, kind: introspection, url: "http://127.0.0.1:9001/introspect", header: X-Token}
routes:
  - {name: home, match: /, service: users}
  - {name: closed, match: /closed, service: users, auth: {accept: [issuer, opaque]}}
objectives: [{name: up, target: 99.9%}]
alerts: {interval: 100ms, channels: [{name: ops, kind: webhook, url: "http://127.0.0.1:1/"}]}
"""
SECURE = 'name: secure, address: "127.0.0.1:9003", tls: {certificates: {file: tls.pem, key_file: tls.key}}'
# Labels that Prometheus itself defines for histograms.
OF_HISTOGRAMS = {"le"}
LATE = ("gateway_self_check_seconds", "gateway_alert_messages_queued", "gateway_objective_budget_left_ratio{")
SETTLE_SECONDS = 30.0


def cells(line: str) -> list[str]:
    """Give the cells of one row of a table."""
    return [cell.replace(r"\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def rows(paper: Path) -> Iterator[list[str]]:
    """Give the cells of every row of every table whose first cell is code."""
    for line in paper.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            yield cells(line)


def code(cell: str) -> str:
    return cell.strip("`")


@pytest.fixture(scope="session")
def reference(repository: Path) -> Path:
    return repository / "docs" / "reference"


# Found once, since nobody changes it.
EXPOSED: list[str] = []


@pytest.fixture
def exposition(terminal: Any) -> str:
    """What `/metrics` of a live node says after some requests."""
    if not EXPOSED:
        EXPOSED.append(exposed(terminal))
    return EXPOSED[0]


def exposed(terminal: Any) -> str:
    terminal.type("python3 -m http.server 9001 --bind 127.0.0.1 2>service.log &")
    terminal.save("gateway.yaml", CONFIGURATION.replace("}]", f"}}, {{{SECURE}}}]", 1))
    Authority(terminal.directory).issue("tls", "example.com")
    terminal.type("gatewright run gateway.yaml 2>gateway.log &")
    url = f"http://127.0.0.1:{terminal.port('8080')}"
    with httpx2.Client(base_url=url, timeout=SETTLE_SECONDS) as client:
        statuses = [client.get(path).status_code for path in ("/", "/closed", "/nowhere")]
    assert statuses == [200, 401, 404]
    return settled(f"http://127.0.0.1:{terminal.port('9901')}/metrics")


def settled(url: str) -> str:
    """What is said once the node has looked at itself and knows where alerts go, both after it listens."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        text = httpx2.get(url, timeout=SETTLE_SECONDS).text
        if all(f"\n{name}" in text for name in LATE) or time.monotonic() > deadline:
            return text
        time.sleep(0.1)


def test_metrics_of_a_live_node_are_those_of_the_reference(exposition: str, reference: Path) -> None:
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", exposition, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", exposition, re.MULTILINE))
    written = {code(row[0]): row for row in rows(reference / "metrics.md")}
    assert set(written) == set(helps)
    assert {name: row[1] for name, row in written.items()} == kinds
    assert {name: row[3] for name, row in written.items() if not row[3].startswith(helps[name])} == {}


def test_labels_of_a_live_node_are_those_of_the_reference(exposition: str, reference: Path) -> None:
    written = {code(row[0]): set(re.findall(r"`(\w+)`", row[2])) for row in rows(reference / "metrics.md")}
    found: dict[str, set[str]] = {}
    for line in exposition.splitlines():
        if line.startswith("#"):
            continue
        name, _, rest = line.partition("{") if "{" in line else (line.split(" ")[0], "", "")
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        labels = set(re.findall(r'(\w+)="', rest)) - OF_HISTOGRAMS
        found.setdefault(family if family in written else name, set()).update(labels)
    assert {name: labels for name, labels in found.items() if labels != written[name]} == {}


def test_refusals_of_the_reference_are_those_of_the_engine(repository: Path, reference: Path) -> None:
    source = (repository / "crates/dataplane/src/refusal.rs").read_text(encoding="utf-8")
    # A kind of refusals may have a file of its own.
    files = [
        source,
        *(file.read_text() for file in sorted((repository / "crates/dataplane/src/refusal").glob("*.rs"))),
    ]
    named = [
        re.split(r"pub\S* fn ", file.split(" fn code(", 1)[1], maxsplit=1)[0]
        for file in files
        if " fn code(" in file
    ]
    codes = {code for text in named for code in re.findall(r'"([a-z_]+)"', text)}
    assert len(codes) > 10
    table = (reference / "refusals.md").read_text(encoding="utf-8")
    statuses = dict(re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", table, re.MULTILINE))
    assert set(statuses) == codes
    numbers = set(re.findall(r"=> (\d{3})", source))
    assert set(statuses.values()) == numbers


def test_reasons_of_malformed_requests_are_those_of_the_engine(
    repository: Path, reference: Path, exposition: str
) -> None:
    reasons = set(re.findall(r'^gateway_malformed_total\{reason="(\w+)"\}', exposition, re.MULTILINE))
    source = (repository / "crates/dataplane/src/refusal.rs").read_text(encoding="utf-8")
    texts = source[source.index("impl Malformed") : source.index("pub enum Refusal")]
    table = (reference / "refusals.md").read_text(encoding="utf-8").partition("## Malformed requests")[2]
    written = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))
    assert set(written) == reasons
    assert set(written.values()) == set(re.findall(r'"([^"]+)"', texts))


def test_codes_in_metrics_are_those_of_the_reference(exposition: str, reference: Path) -> None:
    counted = set(re.findall(r'^gateway_refusals_total\{code="(\w+)"\}', exposition, re.MULTILINE))
    table = (reference / "refusals.md").read_text(encoding="utf-8").partition("## Malformed")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \| \d", table, re.MULTILINE)) == counted


def test_reasons_of_refused_credentials_are_in_the_reference(repository: Path, reference: Path) -> None:
    source = (repository / "crates/dataplane/src/refusal/credentials.rs").read_text(encoding="utf-8")
    texts = source[source.index("impl CredentialFault") : source.index("pub enum CredentialKind")]
    page = (reference / "refusals.md").read_text(encoding="utf-8")
    assert [text for text in re.findall(r'=> "([^"]+)"', texts) if f"- {text}\n" not in page] == []


def test_every_field_of_a_record_is_in_the_reference(repository: Path, reference: Path) -> None:
    folder = repository / "crates/dataplane/src/record"
    source = "".join((folder / name).read_text(encoding="utf-8") for name in ("line.rs", "told.rs"))
    fields = set(re.findall(r'\\"([a-z_]+)\\":', source)) - {"stage", "verdict", "rule", "at", "inputs"}
    assert len(fields) > 30
    table = (reference / "records.md").read_text(encoding="utf-8").partition("## Decisions")[0]
    written = {name for line in table.splitlines() if line.startswith("| `") for name in named(line)}
    assert written == fields


def test_everything_that_may_be_waited_for_is_in_the_reference(repository: Path, reference: Path) -> None:
    source = (repository / "crates/dataplane/src/trail/waits.rs").read_text(encoding="utf-8")
    causes = re.findall(r'Self::\w+ => "(\w+)"', source)
    assert len(causes) > 5
    page = (reference / "records.md").read_text(encoding="utf-8").partition("| `waited_for` | stage |")[2]
    assert [named(line)[0] for line in page.partition("\n\n")[0].splitlines() if "| `" in line] == causes


def named(line: str) -> list[str]:
    return re.findall(r"`(\w+)`", cells(line)[0])


def test_every_command_is_in_the_reference_and_in_the_readme(repository: Path, reference: Path) -> None:
    pages = [reference / "cli.md", repository / "README.md"]
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
    missing = [
        (page, name) for page, text in texts.items() for name in COMMANDS if f"gatewright {name}" not in text
    ]
    assert missing == []


def sections_of(section: type[Section]) -> Iterator[type[Section]]:
    """Give a section and all that its fields may hold."""
    yield section
    for field in section.model_fields.values():
        for found in sections_in(field.annotation):
            yield from sections_of(found)


def sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from sections_in(argument)


def test_every_option_is_in_the_reference(reference: Path) -> None:
    written = {code(row[0]) for row in rows(reference / "configuration.md")}
    options = {
        field.alias or name
        for section in sections_of(Gateway)
        for name, field in section.model_fields.items()
    }
    assert len(options) > 80
    assert options - written == set()


def test_every_operation_of_the_admin_listener_is_in_the_reference(terminal: Any, reference: Path) -> None:
    terminal.save("gateway.yaml", CONFIGURATION)
    terminal.type("gatewright run gateway.yaml 2>gateway.log &")
    url = f"http://127.0.0.1:{terminal.port('9901')}/openapi.json"
    document = httpx2.get(url, timeout=SETTLE_SECONDS).json()
    offered = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    written = {operation for row in rows(reference / "admin.md") for operation in named_operations(row[0])}
    assert written == offered


def named_operations(cell: str) -> list[str]:
    return re.findall(r"`([A-Z]+ /[^`]*)`", cell)


def verdict_of(method: str, target: str, tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIGURATION)
    asked = {
        "method": method,
        "target": target,
        "host": "localhost",
        "headers": [],
        "peer": "127.0.0.1",
        "listener": None,
        "now_ms": 1_795_257_900_000,
        "content_length": None,
    }
    found = _engine.decide(compile_snapshot(load([file]), 1), b"{}", json.dumps([asked]).encode())
    verdict: dict[str, Any] = json.loads(found)[0]
    return verdict


def test_paths_become_what_the_reference_says(reference: Path, tmp_path: Path) -> None:
    page = (reference / "requests.md").read_text(encoding="utf-8")
    table = page.partition("| sent | becomes |")[2].partition("\n\n")[0]
    pairs = [[code(cell) for cell in cells(line)] for line in table.splitlines() if line.startswith("| `")]
    assert len(pairs) > 4
    assert [verdict_of("GET", sent, tmp_path)["path"] for sent, _ in pairs] == [made for _, made in pairs]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/%zz", "path_escape"),
        ("/%c0%af", "path_escape"),
        ("/%252f", "path_escape"),
        ("/%25252e", "path_escape"),
        ("/a%2fb", "path_separator"),
        ("/a%5cb", "path_separator"),
        ("/a;x", "path_parameters"),
        ("/a%3bx", "path_parameters"),
        ("/%00", "path_control"),
        ("/../a", "target"),
        ("*", "target"),
        ("/a#b", "fragment"),
    ],
)
def test_targets_are_refused_as_the_reference_says(
    target: str, reason: str, reference: Path, tmp_path: Path
) -> None:
    verdict = verdict_of("GET", target, tmp_path)
    page = (reference / "refusals.md").read_text(encoding="utf-8")
    texts = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert (verdict["error"], verdict["message"]) == ("bad_request", texts[reason])


CALL = re.compile(
    r"(?:^|`|\$ )(?:gatewright|gw) "
    r"([a-z]+(?:-[a-z]+)*(?: (?:create|list|verify|show|change|rotate|revoke|usage|generate-jwk))?)"
    r"\b([^`\n]*)",
    re.MULTILINE,
)


def test_every_command_line_in_the_papers_uses_options_that_exist(
    papers: list[Path], reference: Path
) -> None:
    pages = re.split(
        r"^#+ gatewright ", (reference / "cli.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    known = {
        page.partition("\n")[0]: set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", page)) for page in pages[1:]
    }
    unknown, found = [], 0
    for paper in papers:
        for command, rest in CALL.findall(paper.read_text(encoding="utf-8")):
            found += 1
            # What stands in quotes is an argument, such as a header.
            options = set(re.findall(r"(?<=\s)--?[a-zA-Z][\w-]*", re.sub(r"\"[^\"]*\"|'[^']*'", "", rest)))
            if command not in known or options - known[command]:
                unknown.append(f"{paper.name}: gatewright {command}{rest}")
    assert unknown == []
    assert found > 40
