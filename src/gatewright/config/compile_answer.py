"""What the gateway answers by itself, to its part of the snapshot."""

import json
from typing import Any

from gatewright.config.models import Compression, ErrorPage, ErrorPages, Static


def compile_error_pages(own: ErrorPages | None, common: ErrorPages | None) -> dict[str, Any] | None:
    """Give the document of error pages, a route's own before the common ones; `None` where it has none."""
    if own is None:
        return None
    common = common or ErrorPages()
    return {
        "pages": [_page(page) for page in (*own.pages, *common.pages)],
        "built_in": bool(common.built_in if own.built_in is None else own.built_in),
        "intercept": bool(common.intercept if own.intercept is None else own.intercept),
    }


def _page(page: ErrorPage) -> dict[str, Any]:
    body = page.json_body
    return {
        "statuses": [status for status in page.status if isinstance(status, int)],
        "classes": [int(status[0]) for status in page.status if isinstance(status, str)],
        "html": page.html,
        "json": None if body is None else json.dumps(body, ensure_ascii=False) + "\n",
    }


_CODINGS = {"br": "br", "zst": "zstd", "gz": "gzip"}


def compile_static(static: Static, strip_prefix: str | None) -> dict[str, Any]:
    """Give the document of a directory's files."""
    return {
        "root": static.root,
        "strip_prefix": strip_prefix,
        "index": static.index,
        "fallback": static.fallback,
        "codings": [_CODINGS[ending] for ending in static.precompressed],
        "cache_control": static.cache_control,
        "types": static.types,
        "hidden": static.hidden,
    }


def compile_compression(compression: Compression | None) -> dict[str, Any] | None:
    """Give the document of a route's compression; `None` where it has none."""
    if compression is None:
        return None
    levels = {"zstd": compression.zstd_level, "br": compression.br_level, "gzip": compression.gzip_level}
    return {
        "algorithms": [[name, levels[name]] for name in compression.algorithms],
        "minimum_bytes": int(compression.minimum),
        "types": compression.types,
    }
