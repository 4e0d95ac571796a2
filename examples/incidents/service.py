"""A service for docs/incidents.md: `service.py PORT [STATUS [SECONDS]]` answers every request so, after so
long.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1])
STATUS = int(sys.argv[2]) if len(sys.argv) > 2 else 200
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0


class Service(BaseHTTPRequestHandler):
    """Answers in the same way whatever it is asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(SECONDS)
        body = b"hello\n" if STATUS < 400 else b"no\n"
        self.send_response(STATUS)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: the gateway's records do."""


ThreadingHTTPServer(("127.0.0.1", PORT), Service).serve_forever()
