"""A browser as far as logins need one: cookies by origin, redirects, and what pages cannot forge."""

from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from gateway.client import Client, Response

ACCEPT = "text/html,application/xhtml+xml,*/*;q=0.8"
MOST_REDIRECTS = 10


@dataclass
class Cookie:
    """One cookie, with what it was marked with."""

    value: str
    attributes: dict[str, str]


@dataclass
class Browser:
    """Keeps the cookies of each origin apart, which is stricter than browsers are about ports."""

    jar: dict[str, dict[str, Cookie]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    """Every address that it went to."""

    def cookies(self, url: str) -> dict[str, Cookie]:
        return self.jar.setdefault(urlsplit(url).netloc, {})

    def goes(self, url: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b"") -> Response:
        """One request and its answer, as a page that a person goes to."""
        parts = urlsplit(url)
        self.seen.append(url)
        sent = "; ".join(f"{name}={cookie.value}" for name, cookie in self.cookies(url).items())
        told = {"accept": ACCEPT, "sec-fetch-mode": "navigate", "host": parts.netloc} | dict(headers)
        if sent:
            told.setdefault("cookie", sent)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        assert parts.hostname is not None
        assert parts.port is not None
        if body:
            told["content-length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        with Client((parts.hostname, parts.port)) as client:
            client.send(f"{method} {target or '/'} HTTP/1.1\r\n{lines}\r\n".encode() + body)
            response = client.response(method)
        self._keep(url, response)
        return response

    def visits(self, url: str, *headers: tuple[str, str]) -> Response:
        """Where that leads in the end."""
        for _ in range(MOST_REDIRECTS):
            response = self.goes(url, *headers)
            location = response.get("location")
            if location is None:
                return response
            url = urljoin(url, location)
        raise AssertionError(f"redirects without end: {self.seen}")

    def _keep(self, url: str, response: Response) -> None:
        for line in response.all("set-cookie"):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            parts = [attribute.partition("=") for attribute in attributes]
            told = {mark: setting for mark, _, setting in parts}
            if told.get("Max-Age") == "0":
                self.cookies(url).pop(name, None)
            else:
                self.cookies(url)[name] = Cookie(value, told)
