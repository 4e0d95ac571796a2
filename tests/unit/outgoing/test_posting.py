"""Posting: nobody waits beyond the deadline, whatever a server does, and no more is read than is allowed.

The first tests are about the client, the others about each part of the gateway that posts.
"""

import asyncio
import gzip
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import gatewright
from gateway import Authority
from gateway.broken import HUGE, Act, Broken, bomb, compressed, drip, endless, says
from gateway.listening import Listening
from gateway.traced_record import record
from gatewright.config.models import Otlp, SpanExport
from gatewright.insight.delivery import ChannelSettings, Webhook
from gatewright.metrics import push
from gatewright.outgoing.posting import (
    BlockingPoster,
    Destination,
    Message,
    NoAnswerError,
    Poster,
    verified,
)
from gatewright.records.batch import Batch
from gatewright.records.sinks.http_sink import ANSWER_BYTES, HttpSink
from gatewright.records.sinks.webhook import WebhookEncoder
from gatewright.tracing.exporter import build_spans
from stores.sinks import batch_of

pytestmark = pytest.mark.anyio

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DRIPS = {
    "in its status": drip(b"HTTP/1.1 200 O", b"K"),
    "in its headers": drip(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n"),
    "interim answers": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "in its body": drip(CHUNKED, b"1\r\nx\r\n"),
}
TOO_MUCH = {
    "endless": endless(CHUNKED, b"1000\r\n" + b" " * 4096 + b"\r\n"),
    "endless headers": endless(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 4000 + b"\r\n"),
    "huge": says("200 OK", b" " * (HUGE * 4)),
    "compressed": compressed,
    "bomb": bomb,
}
SCHEMES = ["https", "HTTPS", "Https"]
QUICK = 0.2
LONG = 20.0


@pytest.fixture(params=["async", "blocking"])
def post(request: pytest.FixtureRequest) -> Callable[..., Awaitable[Any]]:
    """One request by either client."""

    async def by_poster(destination: Destination, message: Message = Message(b"{}")) -> Any:  # noqa: B008 - frozen.
        poster = Poster(destination)
        try:
            return await poster.post(message)
        finally:
            await poster.close()

    async def by_thread(destination: Destination, message: Message = Message(b"{}")) -> Any:  # noqa: B008 - frozen.
        def work() -> Any:
            poster = BlockingPoster(destination)
            try:
                return poster.post(message)
            finally:
                poster.close()

        return await asyncio.to_thread(work)

    return by_poster if request.param == "async" else by_thread


@pytest.mark.parametrize("act", DRIPS.values(), ids=DRIPS)
async def test_a_server_that_drips_is_left_at_the_deadline(post: Any, act: Act) -> None:
    with Broken(act) as server, pytest.raises(NoAnswerError, match=r"no answer within 0\.2 s"):
        await post(Destination(server.url, QUICK, 1000_000))


@pytest.mark.parametrize("act", TOO_MUCH.values(), ids=TOO_MUCH)
async def test_no_more_of_an_answer_is_read_than_is_allowed(post: Any, act: Act) -> None:
    told = r"larger than 1000 bytes|compressed|RemoteProtocolError"
    with Broken(act) as server, pytest.raises(NoAnswerError, match=told):
        await post(Destination(server.url, LONG, 1000))


async def test_an_answer_of_exactly_what_is_allowed_is_read(post: Any) -> None:
    with Broken(says("200 OK", b"x" * 1000)) as server:
        assert (await post(Destination(server.url, LONG, 1000))).body == b"x" * 1000


@pytest.mark.parametrize("act", [DRIPS["in its body"], TOO_MUCH["endless"], TOO_MUCH["bomb"]])
async def test_whoever_wants_only_the_status_waits_for_no_body(post: Any, act: Act) -> None:
    with Broken(act) as server:
        answer = await post(Destination(server.url, LONG, 0))
    assert (answer.status, answer.body) == (200, b"")


async def test_nothing_of_the_environment_is_used(
    post: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password s3cret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with Listening() as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        answer = await post(Destination(server.url, LONG, 1000))
    assert answer.is_success
    assert "authorization" not in server.bodies[0][0]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_server_whose_authority_is_not_trusted_gets_nothing(
    post: Any, scheme: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.file, pair.key_file)
    server = Listening()
    server.secure(context)
    url = server.url.replace("http", scheme, 1)
    with server:
        with pytest.raises(NoAnswerError, match="ConnectError"):
            await post(Destination(url, LONG, 1000))
        assert server.bodies == []
        assert (await post(Destination(url, LONG, 1000, ca_file=authority.file))).is_success


@pytest.mark.parametrize("scheme", [*SCHEMES, "http", "HTTP"])
def test_no_scheme_leads_to_a_connection_that_trusts_everybody(scheme: str) -> None:
    context = verified(Destination(f"{scheme}://localhost/", LONG, 1000))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


async def test_a_redirect_is_an_answer_like_others(post: Any) -> None:
    with Broken(says("307 T", b"", "Location: /good")) as server:
        answer = await post(Destination(server.url, LONG, 1000))
        assert (answer.status, answer.is_success) == (307, False)
        assert len(server.asked) == 1


async def test_a_header_of_the_destination_takes_the_place_of_our_own_and_of_a_messages(post: Any) -> None:
    with Listening() as server:
        headers = {"User-Agent": "mine", "X-KEY": "mine"}
        await post(Destination(server.url, LONG, 1000), Message(b"{}", {"content-type": "text/x"}))
        await post(Destination(server.url, LONG, 1000, headers), Message(b"{}", {"x-key": "other"}))
    first, second = (headers for headers, _ in server.bodies)
    assert (first["user-agent"], first["content-type"]) == (f"gatewright/{gatewright.__version__}", "text/x")
    assert (second["user-agent"], second["x-key"]) == ("mine", "mine")


async def test_an_attempt_after_one_that_failed_opens_a_connection_anew() -> None:
    with Broken(DRIPS["in its body"]) as server:
        poster = Poster(Destination(server.url, 1.0, 1000_000))
        with pytest.raises(NoAnswerError):
            await poster.post(Message(b"x"))
        server.act = says("200 OK", b"well")
        assert (await poster.post(Message(b"x"))).body == b"well"
        await poster.close()


def records_by_webhook(url: str, seconds: float) -> None:
    sink = HttpSink("webhook", Destination(url, seconds, ANSWER_BYTES), WebhookEncoder())
    try:
        sink.write(batch_of(1))
    finally:
        sink.close()


def spans(url: str, seconds: float) -> None:
    sink = build_spans(SpanExport.model_validate({"url": url, "timeout": f"{int(seconds * 1000)}ms"}), None)
    try:
        sink.write(Batch.of(record_line()))
    finally:
        sink.close()


def record_line() -> bytes:
    return json.dumps(record()).encode() + b"\n"


async def metrics(url: str, seconds: float) -> None:
    settings = Otlp.model_validate({"url": url, "timeout": f"{int(seconds * 1000)}ms"})
    poster = Poster(push.destination_of(settings))
    try:
        await push.post(poster, gzip.compress(b"metrics"))
    finally:
        await poster.close()


async def alerts(url: str, seconds: float) -> None:
    webhook = Webhook(ChannelSettings("ops", "webhook", (url,), timeout=seconds), lambda: 1e9)
    try:
        await webhook.tell({"alert": "a"})
    finally:
        await webhook.close()


async def told(user: Callable[[str, float], Any], url: str, seconds: float) -> None:
    if asyncio.iscoroutinefunction(user):
        await user(url, seconds)
    else:
        await asyncio.to_thread(user, url, seconds)


USERS = [records_by_webhook, spans, metrics, alerts]
READERS = [records_by_webhook, spans, metrics]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("where", ["in its headers", "interim answers"])
async def test_nobody_who_posts_is_held_by_a_server_that_drips(user: Any, where: str) -> None:
    with Broken(DRIPS[where]) as server, pytest.raises(Exception, match=r"no answer within 0\.2 s"):
        await told(user, server.url, QUICK)


@pytest.mark.parametrize("user", READERS)
async def test_nobody_who_reads_an_answer_is_held_by_its_body(user: Any) -> None:
    with Broken(DRIPS["in its body"]) as server, pytest.raises(Exception, match=r"no answer within 0\.2 s"):
        await told(user, server.url, QUICK)


@pytest.mark.parametrize("user", READERS)
async def test_nobody_who_reads_an_answer_reads_one_without_end(user: Any) -> None:
    with Broken(TOO_MUCH["endless"]) as server, pytest.raises(Exception, match="the answer is larger than"):
        await told(user, server.url, LONG)


@pytest.mark.parametrize("where", [DRIPS["in its body"], TOO_MUCH["endless"]])
async def test_an_alert_that_was_taken_is_told_whatever_comes_after_the_status(where: Act) -> None:
    with Broken(where) as server:
        await told(alerts, server.url, LONG)


@pytest.mark.parametrize("user", USERS)
async def test_nobody_who_posts_goes_by_a_proxy_of_the_environment(
    user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    with Broken(says("200 OK", b"")) as server:
        await told(user, server.url, LONG)
        assert len(server.asked) == 1
