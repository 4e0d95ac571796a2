"""OTLP over HTTP in protobuf."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from gatewright.config.models import SpanExport
from gatewright.errors import GatewrightError
from gatewright.outgoing.posting import BlockingPoster, Destination, Message, NoAnswerError, verified
from gatewright.records.sink import RejectedError, SinkError
from gatewright.tracing.exporter import Refused, refused_in

PATH = "/v1/traces"
# After these the protocol allows another attempt; those about the login may be mended, too.
AGAIN = frozenset({401, 403, 404, 407, 408, 429, 502, 503, 504})
MAXIMUM_ANSWER = 64 << 10


class HttpTransport:
    """Sends to one address over one connection."""

    def __init__(self, settings: SpanExport) -> None:
        destination = destination_of(settings)
        # A file that cannot be used is told of when the sink is made, not with the first span.
        verified(destination)
        self._poster = BlockingPoster(destination)

    def send(self, body: bytes) -> Refused:
        try:
            answer = self._poster.post(Message(body))
        except NoAnswerError as error:
            raise SinkError(f"the collector cannot be reached: {error}") from error
        if answer.is_success:
            return refused_in(answer.body)
        why = f"the collector answered {answer.status}"
        raise SinkError(why, answer.wait) if answer.status in AGAIN else RejectedError(why, 0)

    def close(self) -> None:
        self._poster.close()


def destination_of(settings: SpanExport) -> Destination:
    parts = urlsplit(settings.url)
    return Destination(
        settings.url if parts.path not in ("", "/") else f"{parts.scheme}://{parts.netloc}{PATH}",
        timeout=settings.timeout / 1000,
        answer_bytes=MAXIMUM_ANSWER,
        headers={"content-type": "application/x-protobuf", **settings.headers},
        ca_file=Path(settings.ca_file) if settings.ca_file else None,
        compress=settings.compression == "gzip",
    )


def build(settings: SpanExport) -> HttpTransport:
    try:
        return HttpTransport(settings)
    except NoAnswerError as error:
        raise GatewrightError(f"`tracing.export.ca_file`: {error}") from error
