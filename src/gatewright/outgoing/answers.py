"""Reading what issuers and providers answer, within bounds."""

from __future__ import annotations

import httpx2

from gatewright.errors import GatewrightError

UNCOMPRESSED = {"accept-encoding": "identity"}
"""Header of every request: a small compressed answer may be a large one."""


async def read_bounded(response: httpx2.Response, maximum: int, error: type[GatewrightError]) -> bytes:
    """The body of an answer that is being streamed. Raises `error` for one of more than `maximum` bytes, and
    for one that is compressed all the same.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise error("compressed, which was not asked for")
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > maximum:
            raise error(f"larger than {maximum} bytes")
    return bytes(body)
