"""Posting to servers that are not ours: one deadline for all of it, an answer within a bound, no redirects,
neither proxies nor passwords from the environment.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlencode

import httpx2

import gatewright
from gatewright.errors import GatewrightError
from gatewright.outgoing.answers import UNCOMPRESSED, read_bounded

LONGEST_WAIT_SECONDS = 300.0
# Most of the size for a tenth of the time that the highest level takes.
GZIP_LEVEL = 1


class NoAnswerError(GatewrightError):
    """There is no whole answer in time, or none that may be read. Whether the server took what was sent is
    not known. The text holds neither address nor secret.
    """


class UnreadableError(GatewrightError):
    """An answer is too long, or in a form that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where requests go, and what all of them have in common. `timeout` is in seconds, for a request with
    everything: name, connection, body, answer. Of an answer `answer_bytes` are read at most, and a longer one
    counts as none; with 0 only the status and the headers matter, and no body is waited for.
    """

    url: str = field(repr=False)
    timeout: float
    answer_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    """User and password."""
    ca_file: Path | None = None
    certificate: tuple[Path, Path] | None = None
    """Files of a certificate and its key, shown to the server."""
    compress: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A body, with what goes with it to the address and the headers."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    seal: Callable[[bytes], Mapping[str, str]] | None = None
    """Headers that depend on the body as it is sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: the status, its headers by names in lower case, the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return self.status // 100 == 2

    @property
    def wait(self) -> float | None:
        """Seconds that the server asks to be left alone, 5 minutes at most."""
        return retry_after(self.headers.get("retry-after"), time.time())

    @property
    def text(self) -> str:
        """The beginning of the body, for messages."""
        return " ".join(self.body[:300].decode("utf-8", "replace").split())


class Poster:
    """Sends messages to one destination over a connection that is kept, one at a time. For one event loop."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._client: httpx2.AsyncClient | None = None

    async def post(self, message: Message) -> Answer:
        """Send a message. Raises `NoAnswerError`."""
        seconds = self.destination.timeout
        try:
            async with asyncio.timeout(seconds):
                return await self._sent(prepared(self.destination, message))
        except TimeoutError as error:
            await self.close()
            raise NoAnswerError(f"no answer within {seconds:g} s") from error
        except UnreadableError as error:
            await self.close()
            raise NoAnswerError(f"the answer is {error}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            # The next attempt reads certificates anew.
            await self.close()
            # The message of an error may hold the address, and an address may hold a password.
            raise NoAnswerError(f"no answer: {type(error).__name__}") from error

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _sent(self, request: httpx2.Request) -> Answer:
        if self._client is None:
            self._client = connected(self.destination)
        response = await self._client.send(request, stream=True)
        try:
            most = self.destination.answer_bytes
            body = await read_bounded(response, most, UnreadableError) if most else b""
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, headers, body)
        finally:
            await response.aclose()


class BlockingPoster:
    """The same for a thread that may wait. It has an event loop of its own, since only that has one deadline
    for every step of a request: a socket with a timeout waits anew for each byte.
    """

    def __init__(self, destination: Destination) -> None:
        self._poster = Poster(destination)
        self._loop: asyncio.AbstractEventLoop | None = None

    def post(self, message: Message) -> Answer:
        """Send a message. Raises `NoAnswerError`, and holds nothing afterwards."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        try:
            return self._loop.run_until_complete(self._poster.post(message))
        except NoAnswerError:
            self.close()
            raise

    def close(self) -> None:
        loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            loop.run_until_complete(self._poster.close())
        finally:
            loop.close()


def prepared(destination: Destination, message: Message) -> httpx2.Request:
    """The request as it is sent."""
    url = destination.url
    if message.parameters:
        url += ("&" if "?" in url else "?") + urlencode(message.parameters)
    headers = httpx2.Headers({"user-agent": f"gatewright/{gatewright.__version__}"})
    for further in (UNCOMPRESSED, message.headers, destination.headers):
        headers.update(further)
    body = message.body
    if destination.compress:
        # The same body gives the same bytes, so that a server can tell a repetition.
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        headers["content-encoding"] = "gzip"
    if message.seal is not None:
        headers.update(message.seal(body))
    return httpx2.Request("POST", url, headers=headers, content=body)


def connected(destination: Destination) -> httpx2.AsyncClient:
    """A client that has not connected yet. Raises `NoAnswerError` where a file of TLS cannot be used."""
    return httpx2.AsyncClient(
        auth=destination.login,
        verify=verified(destination),
        # One deadline stands around everything.
        timeout=None,
        limits=httpx2.Limits(max_connections=1),
        follow_redirects=False,
        trust_env=False,
    )


def verified(destination: Destination) -> ssl.SSLContext:
    """Whom a connection trusts, and what is shown on it. Raises `NoAnswerError`."""
    # As the client reads it, which is the one that speaks TLS or does not.
    if httpx2.URL(destination.url).scheme == "http":
        # Without TLS nobody is asked for a certificate, so no authorities are read: this trusts nobody.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=destination.ca_file)
        if destination.certificate is not None:
            context.load_cert_chain(*destination.certificate)
    except (OSError, ssl.SSLError) as error:
        raise NoAnswerError(f"a file of `tls` cannot be used: {error}") from error
    return context


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from a header `Retry-After`, of either form; `None` where there is none that can be read."""
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(float(value), LONGEST_WAIT_SECONDS)
    try:
        moment = parsedate_to_datetime(value)
        # A date without a zone is one of UTC.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.fromtimestamp(now, UTC)).total_seconds()
    except Exception:  # What a stranger sends makes the parser raise more than it says.
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
