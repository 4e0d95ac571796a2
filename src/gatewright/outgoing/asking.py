"""The client by which servers that are not ours are asked for what they know: key sets, tokens, logins. Like
whoever posts, it takes neither proxies nor passwords from the environment.
"""

from __future__ import annotations

import ssl

import httpx2


def asking(connections: int) -> httpx2.AsyncClient:
    """A client with at most so many connections, which follows no redirect and trusts the authorities that
    OpenSSL does (`SSL_CERT_FILE` says others). Whoever asks sets the deadline.
    """
    return httpx2.AsyncClient(
        verify=ssl.create_default_context(),
        limits=httpx2.Limits(max_connections=connections),
        follow_redirects=False,
        trust_env=False,
    )
