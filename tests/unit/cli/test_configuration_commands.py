"""The commands `check`, `schema` and `routes`: what they print and how they exit."""

import gc
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from gatewright import cli, errors
from gatewright.cli import COMMANDS, WRONG_USE, run

EXAMPLE = str(Path(__file__).parents[3] / "examples" / "gateway.yaml")
VALID = """listeners: [{name: public, address: "127.0.0.1:8080"}]
services: [{name: users, instances: ["127.0.0.1:9001"]}]
routes:
  - {name: all, match: "/*", service: users}
  - {name: beta, match: {path: "/u/{id}", methods: [GET], headers: {X-Beta: "1"}}, service: users,
     strip_prefix: /u}
  - {name: exact, match: /u/me, redirect: {to: /me}}
  - {name: first, match: /late, precedence: 9, service: self}
"""


@pytest.fixture
def valid(tmp_path: Path) -> str:
    path = tmp_path / "gateway.yaml"
    path.write_text(VALID)
    return str(path)


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    path = tmp_path / "wrong.yaml"
    path.write_text(VALID.replace("service: users", "service: user", 1))
    return str(path)


def test_check_of_a_valid_configuration_exits_with_0(valid: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", valid]) == 0
    assert capsys.readouterr().out == "valid: 1 listener, 1 service, 4 routes, 1 file\n"


def test_check_of_a_wrong_configuration_exits_with_1_and_says_why(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", wrong]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{wrong}:4:39: unknown service `user`; did you mean `users`?")
    assert lines[-1] == "not valid: 1 error, 0 warnings"


def test_check_prints_problems_as_json(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--json", wrong]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is False
    assert [(problem["line"], problem["severity"]) for problem in printed["problems"]] == [(4, "error")]


def test_check_counts_what_a_valid_configuration_holds(
    valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", valid, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is True
    assert printed["summary"]["routes"] == 4


def test_check_reports_what_the_engine_refuses(
    valid: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(snapshot: bytes, keys: bytes, requests: bytes) -> bytes:
        raise errors.SnapshotError("route `all`: too large")

    monkeypatch.setattr(import_module("gatewright._engine"), "decide", refuse, raising=False)
    assert run(["check", valid]) == 1
    assert "the engine refuses the configuration: route `all`: too large" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["check"], ["chek", "x"], ["check", "--jsn", "x"], ["routes"]])
def test_wrong_use_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == WRONG_USE
    assert capsys.readouterr().err


def test_missing_file_exits_with_1_and_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "nowhere.yaml"]) == 1
    assert "nowhere.yaml:1:1: cannot be read" in capsys.readouterr().out


def test_routes_come_in_the_order_in_which_they_are_tried(
    valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["routes", valid, "--json"]) == 0
    assert [route["route"] for route in json.loads(capsys.readouterr().out)] == [
        "first",
        "exact",
        "beta",
        "all",
    ]


def test_routes_table_shows_what_goes_where(valid: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["routes", valid]) == 0
    lines = capsys.readouterr().out.splitlines()
    beta = next(line for line in lines if " beta " in line)
    for part in (
        "GET",
        "/u/{id}",
        "X-Beta: 1",
        "users minus /u",
        "anybody",
        "unauthenticated",
        f"{valid}:5:5",
    ):
        assert part in beta


def test_routes_of_a_wrong_configuration_exit_with_1(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["routes", wrong]) == 1
    captured = capsys.readouterr()
    assert not captured.out
    assert "unknown service" in captured.err


def test_schema_is_json_schema_that_describes_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"Route", "Service", "JwtIdentity"} <= schema["$defs"].keys()
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Route"]["properties"]["timeout"]["description"]
    assert {"type": "string"} in schema["$defs"]["Route"]["properties"]["match"]["anyOf"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"gatewright {name}" in capsys.readouterr().out


def test_a_process_exits_with_the_code_of_its_command_and_looks_for_no_garbage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["gatewright", "chek"])
    # The command of that name is a module, which takes its place once it is imported.
    monkeypatch.setattr(cli, "run", run)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == WRONG_USE
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_help_imports_neither_models_nor_tables() -> None:
    program = (
        "import sys; from gatewright.cli import run; run(['--help']); "
        "print([name for name in ('pydantic', 'gatewright.config') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_runs_as_the_command(valid: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gatewright", "check", valid],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_output_that_nobody_reads_is_no_error() -> None:
    command = f"{sys.executable} -m gatewright schema | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
