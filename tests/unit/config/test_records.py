"""Settings of sinks that depend on what is installed, and what makes each kind."""

from pathlib import Path
from typing import get_args

import pytest

from gatewright.config import load
from gatewright.config.crosschecks import records
from gatewright.config.models.records import Sink
from gatewright.errors import ConfigError
from gatewright.records.build import BUILDERS, Place, build_sink, lane_settings, settings_of

TEXT = """\
listeners: [{name: public, address: "127.0.0.1:8080"}]
routes: [{name: a, match: /a, respond: {status: 200}}]
records: {sinks: [{kind: stdout}]}
"""


def test_a_sink_whose_library_is_missing_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(records.LIBRARIES, "stdout", ("no_such_library", "extra"))
    (tmp_path / "gateway.yaml").write_text(TEXT)
    with pytest.raises(ConfigError, match=r"need no_such_library; `pip install 'gatewright\[extra\]'`"):
        load([tmp_path / "gateway.yaml"])


def test_every_kind_of_sink_has_what_makes_it() -> None:
    union = get_args(Sink)[0]
    # Spans are made of records as well, but configured under `tracing`.
    assert {model.model_fields["kind"].default for model in get_args(union)} == set(BUILDERS) - {"spans"}


def test_settings_of_a_sink_become_those_of_its_lane(tmp_path: Path) -> None:
    sink = (
        "{kind: file, name: archive, path: a.jsonl, queue: 64MiB, "
        "batch: {records: 5, bytes: 2MiB, wait: 1s}, retry: {first: 1s, longest: 5s, attempts: 7}, "
        "spill: {size: 2MiB}}"
    )
    (tmp_path / "gateway.yaml").write_text(TEXT.replace("{kind: stdout}", sink))
    models = load([tmp_path / "gateway.yaml"]).gateway.records.sinks
    (settings,) = settings_of(models, Place(tmp_path, tmp_path / "records", tmp_path / "spill"))
    assert build_sink(settings).name == "archive"
    lane = lane_settings(settings)
    assert (lane.batch_records, lane.batch_bytes, lane.batch_wait, lane.queue_bytes) == (
        5,
        2 << 20,
        1.0,
        64 << 20,
    )
    assert (lane.retry.first, lane.retry.longest, lane.retry.attempts) == (1.0, 5.0, 7)
    assert lane.spill is not None
    assert (lane.spill.directory, lane.spill.size) == (tmp_path / "spill" / "archive", 2 << 20)


def test_settings_are_the_same_where_nothing_changed_and_tell_no_secret(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(TEXT)
    place = Place(tmp_path, tmp_path / "records", tmp_path / "spill")
    one, other = (
        settings_of(load([tmp_path / "gateway.yaml"]).gateway.records.sinks, place) for _ in range(2)
    )
    assert one == other
    (tmp_path / "gateway.yaml").write_text(TEXT.replace("stdout}", "stdout, queue: 1MiB}"))
    assert settings_of(load([tmp_path / "gateway.yaml"]).gateway.records.sinks, place) != one
    assert "queue" not in repr(one)
