"""The rules of style.md and design.md section 8 that can be read off the sources.

Each rule is a function from a root to its violations, so that the tests below can also plant a violation and
see it found: a rule that finds nothing because it looks at nothing would be worse than none.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40

STAGES = frozenset({
    "listener",
    "intake",
    "route",
    "shed",
    "authenticate",
    "authorize",
    "limit",
    "balance",
    "proxy",
    "respond",
    "record",
})
# What joins stages; a stage that named one of these could reach every other stage through it.
JOINING = ("pipeline", "engine", "worker")
# Modules outside the stages that may name several stages, and why. All others may name one.
MAY_NAME_SEVERAL = {
    "pipeline": "it is the one place that joins the stages",
    "snapshot": "it compiles the part of the configuration that each stage reads",
    "engine": "it starts and stops what the stages own",
    "node": "it owns what the stages of all threads keep between requests",
    "worker": "it owns what the stages of one thread keep between requests",
    "lib": "it declares the modules",
}
# What one stage may name of another, and why.
MAY_NAME = {
    ("listener", "pipeline"): "the listener hands each request to the pipeline",
    ("listener", "worker"): "a connection is served by the worker that accepted it",
    ("listener", "record"): "connections and timeouts are counted before there is a request",
    ("listener", "engine"): "its tests start a whole node",
    ("limit", "authorize"): "it takes a `Grant`, the proof that only `authorize` makes",
    ("proxy", "balance"): "it takes an `Instance`, which only `balance` picks",
}

FORBIDDEN_WORDS = frozenset({"util", "utils", "helper", "helpers", "manager", "managers"})


def sources(root: Path) -> Iterator[Path]:
    for folder, pattern in (("crates", "*.rs"), ("src", "*.py"), ("tests", "*.py")):
        found = (root / folder).rglob(pattern)
        yield from sorted(path for path in found if not {"target", "__pycache__"} & set(path.parts))


def named(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def long_files(root: Path) -> dict[str, int]:
    lines = {named(root, path): len(path.read_text().splitlines()) for path in sources(root)}
    return {name: count for name, count in lines.items() if count > MAX_FILE_LINES}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_functions(root: Path) -> list[str]:
    found = []
    for path in (path for path in sources(root) if path.suffix == ".py"):
        for function in functions(path):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION_LINES:
                found.append(f"{named(root, path)}:{function.lineno}: {function.name} has {length} lines")
    return found


def vague_names(root: Path) -> list[str]:
    found = []
    for path in sources(root):
        relative = path.relative_to(root).with_suffix("")
        words = {word for part in relative.parts for word in part.lower().split("_")}
        if words & FORBIDDEN_WORDS:
            found.append(named(root, path))
    return found


def without_comments(code: str) -> str:
    """Comments may name any stage; only code makes one stage depend on another."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", code, flags=re.DOTALL)


def group_names(code: str, start: int) -> Iterator[str]:
    """First names of the members of a `{...}` group whose `{` stands at `start`."""
    depth, member = 0, ""
    for character in code[start:]:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if (character == "," and depth == 1) or depth == 0:
            yield member.strip().split("::")[0].split(" ")[0]
            member = ""
        elif not (character == "{" and depth == 1):
            member += character
        if depth == 0:
            return


def crate_names(code: str, depth: int) -> set[str]:
    """Top-level modules that a file names: by `crate::`, or by as many `super::` as it is deep."""
    code = without_comments(code)
    names = set()
    for match in re.finditer(
        r"\b(?:crate|(?P<supers>super(?:\s*::\s*super)*))\s*::\s*(?P<name>\w+|\{)", code
    ):
        supers = match["supers"]
        if supers is not None and supers.count("super") < depth:
            continue
        if match["name"] == "{":
            names.update(group_names(code, match.end() - 1))
        else:
            names.add(match["name"])
    return names - {"super"}


def named_by_module(root: Path) -> dict[str, dict[str, set[str]]]:
    """For each top-level module of `dataplane`: each name that it takes from the crate, and where."""
    source = root / "crates" / "dataplane" / "src"
    modules: dict[str, dict[str, set[str]]] = {}
    for path in sorted(source.rglob("*.rs")):
        parts = path.relative_to(source).with_suffix("").parts
        depth = len(parts) - 1 if parts[-1] == "mod" else len(parts)
        found = modules.setdefault(parts[0], {})
        for name in crate_names(path.read_text(), depth):
            found.setdefault(name, set()).add(named(root, path))
    return modules


def crossings(root: Path) -> list[str]:
    """Where a stage names another stage, or what joins them."""
    found = []
    for module, names in named_by_module(root).items():
        if module not in STAGES:
            continue
        for name, files in names.items():
            foreign = (name in STAGES and name != module) or name.startswith(JOINING)
            if foreign and (module, name) not in MAY_NAME:
                found += [f"{file}: stage `{module}` names `{name}`" for file in sorted(files)]
    return found


def joins(root: Path) -> list[str]:
    """Modules outside the stages that name several stages without being one of those that may."""
    found = []
    for module, names in named_by_module(root).items():
        stages = sorted(STAGES & names.keys())
        if module not in STAGES and not module.startswith(tuple(MAY_NAME_SEVERAL)) and len(stages) > 1:
            found.append(f"`{module}` names {', '.join(stages)}")
    return found


def mentions_of_pyo3(root: Path) -> list[str]:
    paths = [*(root / "crates").rglob("*.rs"), *(root / "crates").rglob("Cargo.toml")]
    names = {named(root, path) for path in paths if re.search(r"\bpyo3\b", path.read_text())}
    return sorted(name for name in names if not name.startswith("crates/bridge/"))


def test_no_source_file_is_too_long() -> None:
    assert long_files(ROOT) == {}


def test_no_python_function_is_too_long() -> None:
    assert long_functions(ROOT) == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert vague_names(ROOT) == []


def test_stages_do_not_name_each_other() -> None:
    assert crossings(ROOT) == []


def test_only_what_joins_the_stages_names_several() -> None:
    assert joins(ROOT) == []


def test_dataplane_forbids_unsafe_code() -> None:
    library = (ROOT / "crates/dataplane/src/lib.rs").read_text()
    assert re.search(r"^#!\[forbid\(unsafe_code\)\]$", library, re.MULTILINE)


def test_dataplane_does_not_depend_on_python() -> None:
    manifest = tomllib.loads((ROOT / "crates/dataplane/Cargo.toml").read_text())
    tables = [table for name, table in manifest.items() if name.endswith("dependencies")]
    assert tables
    assert not [name for table in tables for name in table if "pyo3" in name or name == "bridge"]


def test_only_the_bridge_mentions_pyo3() -> None:
    assert "pyo3" in (ROOT / "crates/bridge/Cargo.toml").read_text()
    assert mentions_of_pyo3(ROOT) == []


def test_every_kind_of_source_is_looked_at() -> None:
    suffixes = {(path.relative_to(ROOT).parts[0], path.suffix) for path in sources(ROOT)}
    assert suffixes == {("crates", ".rs"), ("src", ".py"), ("tests", ".py")}


def plant(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return root


def test_a_long_file_is_found_and_one_at_the_limit_is_not(tmp_path: Path) -> None:
    plant(tmp_path, "crates/dataplane/src/a.rs", "\n" * MAX_FILE_LINES)
    assert long_files(tmp_path) == {}
    plant(tmp_path, "tests/flow/b.py", "\n" * (MAX_FILE_LINES + 1))
    assert long_files(tmp_path) == {"tests/flow/b.py": MAX_FILE_LINES + 1}


def test_a_long_function_is_found_and_one_at_the_limit_is_not(tmp_path: Path) -> None:
    body = "    x = 1\n"
    plant(tmp_path, "src/a.py", "async def f():\n" + body * (MAX_FUNCTION_LINES - 1))
    assert long_functions(tmp_path) == []
    plant(tmp_path, "src/a.py", "class C:\n  async def f(self):\n" + body * MAX_FUNCTION_LINES)
    assert long_functions(tmp_path) == ["src/a.py:2: f has 41 lines"]


@pytest.mark.parametrize("name", ["src/a/utils.py", "crates/x/src/key_manager.rs", "tests/helpers/b.py"])
def test_a_vague_name_is_found(tmp_path: Path, name: str) -> None:
    assert vague_names(plant(tmp_path, name, "")) == [name]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("limit/mod.rs", "use crate::route::Route;"),
        ("limit/window.rs", "use crate::{request::Request, route::{Route, Table}};"),
        ("limit/window.rs", "fn f() { crate::route::find() }"),
        ("limit/window.rs", "use super::super::route::Route;"),
        ("limit.rs", "use super::route;"),
        ("limit.rs", "use crate::{\n    route,\n};"),
    ],
)
def test_a_stage_that_names_another_is_found(tmp_path: Path, file: str, code: str) -> None:
    plant(tmp_path, f"crates/dataplane/src/{file}", code)
    assert crossings(tmp_path) == [f"crates/dataplane/src/{file}: stage `limit` names `route`"]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("limit/mod.rs", "use crate::limit::Permit;\nuse crate::{refusal::Refusal, trail::Trail};"),
        ("limit/mod.rs", "// unlike crate::route\nuse crate::request::Request;"),
        ("limit/window.rs", "use super::route::Local;"),
        ("listener/mod.rs", "use crate::pipeline::Pipeline;"),
    ],
)
def test_what_a_stage_may_name_is_not_a_crossing(tmp_path: Path, file: str, code: str) -> None:
    assert crossings(plant(tmp_path, f"crates/dataplane/src/{file}", code)) == []


def test_only_the_listener_may_name_the_pipeline(tmp_path: Path) -> None:
    plant(tmp_path, "crates/dataplane/src/proxy/mod.rs", "use crate::pipeline::Pipeline;")
    assert crossings(tmp_path) == ["crates/dataplane/src/proxy/mod.rs: stage `proxy` names `pipeline`"]


def test_a_module_that_joins_stages_unasked_is_found(tmp_path: Path) -> None:
    code = "use crate::{limit, route};"
    for module in ("pipeline.rs", "snapshot/compiled.rs", "engine_state.rs", "worker.rs"):
        plant(tmp_path, f"crates/dataplane/src/{module}", code)
    assert joins(tmp_path) == []
    plant(tmp_path, "crates/dataplane/src/http1/mod.rs", code)
    assert joins(tmp_path) == ["`http1` names limit, route"]


def test_a_mention_of_pyo3_outside_the_bridge_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "crates/bridge/src/lib.rs", "use pyo3::prelude::*;")
    plant(tmp_path, "crates/document/Cargo.toml", "pyo3.workspace = true")
    assert mentions_of_pyo3(tmp_path) == ["crates/document/Cargo.toml"]


COMPARED = {
    "crates/dataplane/src/authenticate/api_keys.rs": "constant_time::verify_slices_are_equal(",
    "crates/dataplane/src/authenticate/stored_identity.rs": "constant_time::verify_slices_are_equal(",
    "crates/dataplane/src/authenticate/token_keys.rs": "hmac::verify(",
    "crates/dataplane/src/authenticate/signature/verifier.rs": "hmac::verify(",
    "src/gatewright/admin/access.py": "hmac.compare_digest(",
    "src/gatewright/identity/passwords.py": "verify_secret(",
    "src/gatewright/keystore/sharing.py": "hmac.compare_digest(",
    "src/gatewright/keystore/store.py": "hmac.compare_digest(",
}
"""Where what a client sent meets what is secret, and the comparison whose time tells nothing."""

SECRETIVE = ("crates/dataplane/src/authenticate", "src/gatewright/identity", "src/gatewright/keystore")


@pytest.mark.parametrize("file", COMPARED)
def test_secrets_are_compared_in_constant_time(file: str) -> None:
    assert COMPARED[file] in (ROOT / file).read_text(encoding="utf-8")


def test_signatures_and_checksums_are_compared_nowhere_by_the_usual_sign() -> None:
    usual = re.compile(r"(signature|checksum|digest|password|secret)\w*(\(\))? *[!=]= ")
    found = [
        f"{file.name}: {line.strip()}"
        for folder in (
            "crates/dataplane/src/authenticate",
            "src/gatewright/identity",
            "src/gatewright/keystore",
        )
        for file in sorted((ROOT / folder).rglob("*.*"))
        if file.suffix in {".rs", ".py"} and "tests" not in file.parts and file.name != "tests.rs"
        for line in file.read_text(encoding="utf-8").splitlines()
        if usual.search(line)
    ]
    assert found == []
