"""Error pages: words that are none, and pages that nobody would see."""

import re
from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.models import ErrorPages
from gatewright.errors import Problem

WORDS = ("status", "reason", "error", "message", "request_id", "retry_after")

_WORD = re.compile(r"\{([a-z_]+)\}")


def check(view: View) -> Iterator[Problem]:
    """Find misspelt words and routes that intercept what they never get."""
    yield from _words(view, ("error_pages",), view.gateway.error_pages)
    for number, route in view.routes():
        yield from _words(view, ("routes", number, "error_pages"), route.error_pages)
        pages = route.error_pages
        if pages is not None and pages.intercept and route.service in {None, "self"}:
            yield view.key_at("routes", number, "error_pages", "intercept").problem(
                "`intercept` does nothing on a route that forwards to no service; leave it out"
            )


def _words(view: View, here: tuple[str | int, ...], pages: ErrorPages | None) -> Iterator[Problem]:
    for place, page in enumerate(() if pages is None else pages.pages):
        for option, text in (("html", page.html or ""), ("json", str(page.json_body or ""))):
            unknown = sorted(set(_WORD.findall(text)) - set(WORDS))
            position = view.at(*here, "pages", place, option)
            known = ", ".join(f"`{{{word}}}`" for word in WORDS)
            for word in unknown:
                yield position.warning(f"`{{{word}}}` is sent as it stands; words are {known}")
