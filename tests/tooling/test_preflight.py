"""A missing tool is named with the way to get it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Machine = Callable[..., "subprocess.CompletedProcess[str]"]
GOOD_CARGO = "echo 'cargo 1.999.0 (0000000 2030-01-01)'"


@pytest.fixture
def preflight(tmp_path: Path, repository: Path) -> Machine:
    """Runs scripts/preflight.sh on a machine with these programs, as name and shell text, and no others."""
    for name in ("bash", "env", "sed", "sort", "head", "cut", "dirname"):
        found = next(
            path for place in os.defpath.split(":") if (path := Path(place or "/bin") / name).exists()
        )
        (tmp_path / name).symlink_to(found)

    def run(**programs: str) -> "subprocess.CompletedProcess[str]":
        for name, text in programs.items():
            (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / name).chmod(0o755)
        script = str(repository / "scripts" / "preflight.sh")
        environment = {"PATH": str(tmp_path)}
        return subprocess.run(
            [script], env=environment, capture_output=True, text=True, check=False, timeout=30
        )

    return run


def test_a_machine_with_every_tool_passes_silently(preflight: Machine) -> None:
    done = preflight(cargo=GOOD_CARGO, python3="exit 0", cc="exit 0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_bare_machine_gets_one_line_for_each_missing_tool(preflight: Machine) -> None:
    done = preflight()
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert [line.split()[1] for line in lines] == ["cargo", "Python", "a"]
    assert all("get it:" in line for line in lines)


def test_a_cargo_older_than_the_crates_demand_is_named_with_its_version(preflight: Machine) -> None:
    done = preflight(cargo="echo 'cargo 1.80.1 (0000000 2024-01-01)'", python3="exit 0", cc="exit 0")
    assert done.returncode == 1
    assert "cargo is 1.80.1" in done.stderr


def test_a_rustup_without_a_toolchain_is_named(preflight: Machine) -> None:
    done = preflight(cargo="exit 1", python3="exit 0", cc="exit 0")
    assert done.returncode == 1
    assert "rustup default stable" in done.stderr


def test_a_too_old_python_is_named_with_its_version(preflight: Machine) -> None:
    old = 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi'
    done = preflight(cargo=GOOD_CARGO, python3=old, cc="exit 0")
    assert done.returncode == 1
    assert "Python 3.9.2" in done.stderr


def test_a_python_without_venv_is_named_unless_uv_is_there(preflight: Machine) -> None:
    # The version question passes, the import of `venv` does not.
    bare = 'case "$2" in *ensurepip*) exit 1 ;; esac'
    assert "venv module" in preflight(cargo=GOOD_CARGO, python3=bare, cc="exit 0").stderr
    assert preflight(uv="exit 0").returncode == 0


def test_the_newest_python_is_taken(preflight: Machine, repository: Path, tmp_path: Path) -> None:
    preflight(python3="exit 0", **{"python3.11": "exit 0", "python3.13": "exit 0"})
    script = str(repository / "scripts" / "python.sh")
    done = subprocess.run([script], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(tmp_path / "python3.13")
