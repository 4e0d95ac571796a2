"""OTLP over HTTP in protobuf."""

from __future__ import annotations

import gzip
import ssl
from urllib.parse import urlsplit

import httpx2

from gatewright.config.models import SpanExport
from gatewright.errors import GatewrightError
from gatewright.records.sink import RejectedError, SinkError
from gatewright.tracing.exporter import Refused, refused_in

PATH = "/v1/traces"
# After these the protocol allows another attempt; those about the login may be mended, too.
AGAIN = frozenset({401, 403, 404, 407, 408, 429, 502, 503, 504})
MAXIMUM_ANSWER = 64 << 10


class HttpTransport:
    """Sends to one address over one connection."""

    def __init__(self, settings: SpanExport) -> None:
        parts = urlsplit(settings.url)
        self._url = settings.url if parts.path not in ("", "/") else f"{parts.scheme}://{parts.netloc}{PATH}"
        self._headers = {"content-type": "application/x-protobuf", **settings.headers}
        self._gzip = settings.compression == "gzip"
        if self._gzip:
            self._headers["content-encoding"] = "gzip"
        verify = ssl.create_default_context(cafile=settings.ca_file)
        limits = httpx2.Limits(max_connections=1)
        self._client = httpx2.Client(timeout=settings.timeout / 1000, limits=limits, verify=verify)

    def send(self, body: bytes) -> Refused:
        content = gzip.compress(body, 1) if self._gzip else body
        try:
            with self._client.stream("POST", self._url, content=content, headers=self._headers) as response:
                status, answer = response.status_code, bounded(response)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise SinkError(f"the collector cannot be reached: {error!r}") from error
        if status // 100 == 2:
            return refused_in(answer)
        why = f"the collector answered {status}"
        raise SinkError(why) if status in AGAIN else RejectedError(why, 0)

    def close(self) -> None:
        self._client.close()


def bounded(response: httpx2.Response) -> bytes:
    """What the collector says. Raises `SinkError` where that is too long to be an answer."""
    answer = b""
    for chunk in response.iter_bytes():
        answer += chunk
        if len(answer) > MAXIMUM_ANSWER:
            raise SinkError("the collector's answer is longer than 64 KiB")
    return answer


def build(settings: SpanExport) -> HttpTransport:
    try:
        return HttpTransport(settings)
    except OSError as error:
        raise GatewrightError(f"`tracing.export.ca_file`: {error}") from error
