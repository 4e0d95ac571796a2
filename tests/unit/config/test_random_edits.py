"""Random edits of a valid configuration: refused with places, or accepted; never anything else."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewright.config import ConfigError, compile, load
from gatewright.config.formats import read_file

EXAMPLES = Path(__file__).parents[3] / "examples"
VALID: Any = read_file(EXAMPLES / "gateway.yaml", "gateway.yaml").plain()

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from([
        "none",
        "self",
        "off",
        "10s",
        "users",
        "/a/*",
        "regex:/(",
        "127.0.0.1:1",
        "${env:X}",
        "*",
    ]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("edits")
    shutil.copytree(EXAMPLES / "keys", path / "keys")
    return path


def _places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the way to everything inside a value."""
    inside = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    found = []
    for key, item in inside:
        found += [(*here, key), *_places(item, (*here, key))]
    return found


def _edited(place: tuple[Any, ...], value: Any, *, drop: bool) -> Any:
    edited = copy.deepcopy(VALID)
    holder = edited
    for key in place[:-1]:
        holder = holder[key]
    if drop:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return edited


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(_places(VALID)), value=values, drop=st.booleans())
def test_edit_is_accepted_or_refused_with_places(
    directory: Path, place: tuple[Any, ...], value: Any, drop: bool
) -> None:
    path = directory / "gateway.json"
    text = json.dumps(_edited(place, value, drop=drop), indent=1)
    path.write_text(text)
    try:
        loaded = load([path], {})
    except ConfigError as error:
        lines = len(text.splitlines())
        assert any(problem.severity == "error" for problem in error.problems)
        assert all(1 <= problem.line <= lines and problem.message for problem in error.problems)
    else:
        json.loads(compile(loaded, 1, lambda host, port: []))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from([place for place in _places(VALID) if "auth" in place]), value=values)
def test_no_edit_of_authentication_opens_a_route_unsaid(
    directory: Path, place: tuple[Any, ...], value: Any
) -> None:
    path = directory / "gateway.json"
    edited = _edited(place, value, drop=False)
    path.write_text(json.dumps(edited))
    try:
        loaded = load([path], {})
    except ConfigError:
        return
    for written, route in zip(edited["routes"], loaded.gateway.routes, strict=True):
        said = "auth" not in written or written["auth"] == "none" or written["auth"].get("optional")
        assert said or (route.auth is not None and route.auth.accept)
