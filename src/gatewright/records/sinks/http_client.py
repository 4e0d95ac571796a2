"""One HTTP server that records go to: requests with a deadline, answers within a bound, no redirects."""

from __future__ import annotations

import gzip
import hashlib
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlencode

import httpx2

from gatewright.records.sink import SinkError

# Enough for what a server says of each record of a batch, and far from what would hurt.
ANSWER_BYTES = 4 << 20
LONGEST_WAIT_SECONDS = 300.0
# Most of the size for a tenth of the time that the highest level takes.
GZIP_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Destination:
    """Where requests go, and what all of them have in common. Times are in seconds."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    """User and password."""
    ca_file: Path | None = None
    certificate: tuple[Path, Path] | None = None
    """Files of a certificate and its key, shown to the server."""
    timeout: float = 10.0
    compress: bool = True
    max_request: int = 4 << 20
    """Bytes of a body before compression."""


@dataclass(frozen=True, slots=True)
class Message:
    """A body, with what its encoder adds to the address and the headers."""

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
    def wait(self) -> float | None:
        """Seconds that the server asks to be left alone, 5 minutes at most."""
        return retry_after(self.headers.get("retry-after"), time.time())

    @property
    def text(self) -> str:
        """The beginning of the body, for messages."""
        return " ".join(self.body[:300].decode("utf-8", "replace").split())


class HttpClient:
    """Sends messages to one destination over a connection that is kept. For one thread."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._client: httpx2.Client | None = None

    def post(self, message: Message) -> Answer:
        """Send a message. Raises `SinkError` where there is no whole answer in time."""
        try:
            if self._client is None:
                self._client = connected(self._destination)
            return self._sent(self._client, self._request(message))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            # The next attempt reads certificates anew.
            self.close()
            # The message of an error may hold the address, and an address may hold a password.
            raise SinkError(f"no answer: {type(error).__name__}") from error

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _request(self, message: Message) -> httpx2.Request:
        url = self._destination.url
        if message.parameters:
            url += ("&" if "?" in url else "?") + urlencode(message.parameters)
        body, headers = message.body, {**message.headers, **self._destination.headers}
        if self._destination.compress:
            # The same body gives the same bytes, so that a server can tell a repetition.
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if message.seal is not None:
            headers |= message.seal(body)
        return httpx2.Request("POST", url, headers=headers, content=body)

    def _sent(self, client: httpx2.Client, request: httpx2.Request) -> Answer:
        deadline = time.monotonic() + self._destination.timeout
        response = client.send(request, stream=True)
        try:
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                if len(body) > ANSWER_BYTES:
                    raise SinkError(f"the answer is longer than {ANSWER_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise SinkError("the answer did not end in time")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, headers, bytes(body))
        finally:
            response.close()


def connected(destination: Destination) -> httpx2.Client:
    """A client that has not connected yet. Raises `SinkError` where a file of TLS cannot be used."""
    return httpx2.Client(
        auth=destination.login,
        verify=verified(destination),
        timeout=destination.timeout,
        limits=httpx2.Limits(max_connections=1),
        follow_redirects=False,
        # Neither proxies nor passwords from the environment.
        trust_env=False,
    )


def verified(destination: Destination) -> ssl.SSLContext | bool:
    """Whom a connection trusts, and what is shown on it; nothing where it has no TLS."""
    if not destination.url.startswith("https:"):
        return False
    try:
        context = ssl.create_default_context(cafile=destination.ca_file)
        if destination.certificate is not None:
            context.load_cert_chain(*destination.certificate)
    except (OSError, ssl.SSLError) as error:
        raise SinkError(f"a file of `tls` cannot be used: {error}") from error
    return context


def fingerprint(body: bytes) -> str:
    """The same for the same body."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from a header `Retry-After`, of either form; `None` where there is none that can be read."""
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_WAIT_SECONDS)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A date without a zone is one of UTC.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = (moment - datetime.fromtimestamp(now, UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
