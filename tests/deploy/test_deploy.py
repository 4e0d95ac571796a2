"""What `deploy/` ships fits the gateway: rules are sound, tested, and ask for nothing that is not there."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway import Authority, Origin, RunningGateway
from gateway.ports import unused_ports
from gateway.promql import named

PROMTOOL = pytest.mark.needs("promtool")
# What Prometheus itself adds.
ADDED = {"job", "instance", "le"}
ADDED_METRICS = {"up": {"job", "instance"}}
CONFIGURATION = """\
listeners:
  - {{name: public, address: "127.0.0.1:{public}"}}
  - name: secure
    address: "127.0.0.1:{secure}"
    tls: {{certificates: {{file: tls.pem, key_file: tls.key}}}}
admin: {{address: "127.0.0.1:{admin}"}}
records: {{sinks: [{{kind: file, path: records.jsonl}}]}}
services:
  - {{name: users, instances: ["{origin}"]}}
  - name: broken
    instances: ["127.0.0.1:{nowhere}"]
    circuit_breaker: {{failure_ratio: 0.5, minimum_requests: 2, window: 30s}}
identities:
  - {{name: issuer, kind: jwt, jwks: {{url: "http://127.0.0.1:{nowhere}/jwks.json", timeout: 100ms}}}}
tiers: [{{name: small, limit: 1, window: 60s, per: client_ip}}]
routes:
  - {{name: users, match: "/*", service: users, rate_limit: {{tier: small}}}}
  - {{name: closed, match: /closed, service: users, auth: {{accept: [issuer]}}}}
  - {{name: broken, match: /broken, service: broken, rate_limit: none}}
"""


@pytest.fixture(scope="session")
def deploy(repository: Path) -> Path:
    return repository / "deploy"


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Each series of a gateway that has seen all kinds of traffic, and its labels as Prometheus has them."""
    directory = tmp_path_factory.mktemp("gateway")
    ports = unused_ports()
    node = RunningGateway(directory, (next(ports), next(ports)), "")
    Authority(directory).issue("tls", "example.com")
    with Origin() as origin:
        node.file.write_text(
            CONFIGURATION.format(
                public=node.public,
                admin=node.admin,
                secure=next(ports),
                nowhere=next(ports),
                origin=origin.address,
            )
        )
        try:
            node.start()
            page = visited(node)
        finally:
            node.end()
    return stored(page)


def visited(node: RunningGateway) -> str:
    """The page after requests that were answered, refused, over their limit, and beyond help."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{node.public}", timeout=60.0) as client:
        paths = ("/a", "/b", "/closed", "/broken", "/broken", "/broken", "/broken")
        statuses = [client.get(path).status_code for path in paths]
    assert statuses[:5] == [200, 429, 401, 502, 502]
    return httpx2.get(f"{node.url}/metrics", timeout=60.0).text


def stored(page: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in page.splitlines():
        if not line.startswith("#"):
            labels = set(re.findall(r'(\w+)="', line))
            if "instance" in labels:
                labels = labels - {"instance"} | {"exported_instance"}
            found.setdefault(re.split(r"[{ ]", line)[0], set()).update(labels)
    return found


def rules(file: Path) -> Iterator[dict[str, str]]:
    """Every rule of a file: what it records or alerts of, and `expr`. The files keep to a simple form."""
    form = re.compile(r"(record|alert): (\S+)\n        expr: (?:\|\n((?:          .*\n?)+)|(.*))")
    for block in re.split(r"\n      - (?=record:|alert:)", file.read_text())[1:]:
        for kind, name, several, one in form.findall(block):
            yield {kind: name, "expr": several or one, "text": block}


def recorded(deploy: Path) -> set[str]:
    return {rule["record"] for rule in rules(deploy / "prometheus" / "recording.rules.yml")}


def dashboard_expressions(deploy: Path) -> list[str]:
    """Those of all panels, variables and annotations, with variables in place."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.extend(text for key, text in value.items() if key == "expr")
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    walk(json.loads((deploy / "grafana" / "gatewright.json").read_text()))
    return found


@pytest.fixture(scope="session")
def expressions(deploy: Path) -> dict[str, str]:
    """Every expression that is shipped, by where it is."""
    files = [deploy / "prometheus" / f"{name}.rules.yml" for name in ("recording", "alerts")]
    found = {
        rule.get("record", rule.get("alert", "")): rule["expr"] for file in files for rule in rules(file)
    }
    panels = {f"panel {place}": text for place, text in enumerate(dashboard_expressions(deploy))}
    assert len(found) > 50
    assert len(panels) > 40
    return found | panels


def faults(expression: str, known: dict[str, set[str]], made: set[str]) -> list[str]:
    """What an expression asks for that nothing has. `made` are series that rules record."""
    asked = named(expression)
    labels, wrong = set(ADDED), []
    for name, matched in asked.selectors.items():
        if name not in known and name not in made:
            wrong.append(f"no metric {name}")
        has = known.get(name, set()) | ADDED | (asked.grouped if name in made else set())
        wrong += [f"{name} has no label {label}" for label in sorted(matched - has)]
        labels |= has
    return wrong + [f"nothing has a label {label}" for label in sorted(asked.grouped - labels)]


def test_every_metric_and_label_that_is_asked_for_is_exposed(
    deploy: Path, expressions: dict[str, str], series: dict[str, set[str]]
) -> None:
    known, made = series | ADDED_METRICS, recorded(deploy)
    wrong = {place: faults(text, known, made) for place, text in expressions.items()}
    assert {place: found for place, found in wrong.items() if found} == {}


def test_what_nothing_exposes_is_found(series: dict[str, set[str]]) -> None:
    expression = 'sum by (team) (rate(gateway_request_total{route="a"}[5m])) / gateway_config_valid{code="b"}'
    assert faults(expression, series, set()) == [
        "no metric gateway_request_total",
        "gateway_request_total has no label route",
        "gateway_config_valid has no label code",
        "nothing has a label team",
    ]


def test_every_label_of_an_annotation_is_one_of_its_expression(
    deploy: Path, series: dict[str, set[str]]
) -> None:
    by_record = {
        rule["record"]: named(rule["expr"]).grouped
        for rule in rules(deploy / "prometheus" / "recording.rules.yml")
    }
    wrong = []
    for rule in rules(deploy / "prometheus" / "alerts.rules.yml"):
        asked = named(rule["expr"])
        labels = set(asked.grouped)
        if not asked.grouped:
            for name in asked.selectors:
                labels |= by_record.get(name) or series.get(name, set()) | ADDED
        wrong += [
            f"{rule['alert']}: {label}"
            for label in re.findall(r"\$labels\.(\w+)", rule["text"])
            if label not in labels
        ]
    assert wrong == []


def test_every_runbook_that_an_alert_names_is_there(deploy: Path, repository: Path) -> None:
    headings = re.findall(r"^## (.*)$", (repository / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    known = {heading.lower().replace(" ", "-") for heading in headings}
    named_ones = set(
        re.findall(r"runbooks\.md#(\S+)", (deploy / "prometheus" / "alerts.rules.yml").read_text())
    )
    assert len(named_ones) > 5
    assert named_ones <= known


def test_every_rule_has_a_test(deploy: Path) -> None:
    tests = "\n".join(file.read_text() for file in (deploy / "prometheus" / "tests").glob("*.yml"))
    names = recorded(deploy) | {rule["alert"] for rule in rules(deploy / "prometheus" / "alerts.rules.yml")}
    assert [name for name in sorted(names) if not re.search(rf"{name}\b", tests)] == []


def promtool(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [shutil.which("promtool") or "promtool", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@PROMTOOL
def test_rules_are_what_prometheus_takes_and_do_what_their_tests_say(deploy: Path) -> None:
    folder = deploy / "prometheus"
    promtool("check", "rules", "recording.rules.yml", "alerts.rules.yml", cwd=folder)
    promtool("test", "rules", *sorted((folder / "tests").glob("*.yml")), cwd=folder)


@PROMTOOL
def test_every_expression_of_the_dashboard_is_one(deploy: Path, tmp_path: Path) -> None:
    lines = ["groups:", "- name: dashboard", "  rules:"]
    for number, expression in enumerate(dashboard_expressions(deploy)):
        lines += [f"  - record: panel_{number}", f"    expr: {json.dumps(expression)}"]
    (tmp_path / "dashboard.rules.yml").write_text("\n".join(lines) + "\n")
    promtool("check", "rules", "dashboard.rules.yml", cwd=tmp_path)


def test_panels_of_the_dashboard_stand_beside_each_other(deploy: Path) -> None:
    panels = json.loads((deploy / "grafana" / "gatewright.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not places & cells, panel["title"]
        places |= cells
