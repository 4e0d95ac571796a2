"""Questions that are answered by processes of their own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatewright.records import asking
from gatewright.records.asking import Queries, QueriesBusyError
from gatewright.records.fields import RecordQueryError

# Answers with its own number, and not at all where it is asked not to.
ECHO = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["kind"] == "silence":
        continue
    if asked["kind"] == "end":
        sys.exit(3)
    print(json.dumps({"answer": os.getpid()}), flush=True)
"""


COMMAND = (sys.executable, "-c", ECHO)


@pytest.fixture
async def queries() -> AsyncIterator[Queries]:
    made = Queries()
    yield made
    await made.close()


@pytest.fixture
async def echo() -> AsyncIterator[Queries]:
    made = Queries(COMMAND)
    yield made
    await made.close()


async def test_questions_are_answered_by_one_process_while_they_come_one_by_one(echo: Queries) -> None:
    numbers = {await echo.ask({"kind": "any"}) for _ in range(3)}
    assert len(numbers) == 1
    assert numbers != {os.getpid()}
    assert echo.outcomes["answered"] == 3


async def test_records_are_found_by_another_process(
    queries: Queries, tmp_path: Path, record_line, store_records
) -> None:
    store_records(tmp_path, record_line(status=503) + record_line(request_id="two"))
    given = await queries.ask({"kind": "page", "records": str(tmp_path), "where": ["status=5xx"]})
    assert [record["request_id"] for record in given["records"]] == ["one"]
    with pytest.raises(RecordQueryError, match="no status"):
        await queries.ask({"kind": "page", "records": str(tmp_path), "status": "blue"})
    assert queries.outcomes["wrong"] == 1


async def test_a_question_that_takes_too_long_ends_its_process_and_no_other_answer_is_mistaken() -> None:
    queries = Queries(COMMAND, processes=1)
    first = await queries.ask({"kind": "any"})
    # A process that is yet to be started may take longer than that.
    patient, queries._seconds = queries._seconds, 0.5
    with pytest.raises(RecordQueryError, match="no answer within"):
        await queries.ask({"kind": "silence"})
    queries._seconds = patient
    assert await queries.ask({"kind": "any"}) != first
    assert queries.outcomes["failed"] == 1
    await queries.close()


async def test_a_process_that_dies_is_replaced(echo: Queries) -> None:
    with pytest.raises(RecordQueryError, match="failed"):
        await echo.ask({"kind": "end"})
    number = await echo.ask({"kind": "any"})
    os.kill(number, signal.SIGKILL)
    with pytest.raises(RecordQueryError, match="failed"):
        while True:
            assert await echo.ask({"kind": "any"}) == number
    assert await echo.ask({"kind": "any"}) != number


async def test_questions_beyond_the_bound_are_refused_at_once() -> None:
    queries = Queries(COMMAND, processes=1, waiting=1, seconds=30.0)
    waiting = [asyncio.create_task(queries.ask({"kind": "silence"})) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(QueriesBusyError, match="wait already"):
        await queries.ask({"kind": "any"})
    assert queries.outcomes["busy"] == 1
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await queries.close()


async def test_a_process_ends_when_nobody_asks_any_more(echo: Queries, monkeypatch) -> None:
    monkeypatch.setattr(asking, "IDLE_SECONDS", 0.0)
    number = await echo.ask({"kind": "any"})
    while True:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            break
        await asyncio.sleep(0.01)


def test_the_process_answers_line_by_line_and_reports_what_is_wrong(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    import io

    from gatewright.records import query

    monkeypatch.setattr(query.os, "nice", lambda _: 0)
    lines = [{"kind": "page", "records": str(tmp_path)}, {"kind": "page"}]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))
    query.main()
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found[0]["answer"]["records"] == []
    assert "add a sink of kind `sqlite`" in found[1]["error"]
