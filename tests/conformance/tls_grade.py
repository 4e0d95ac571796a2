"""Asks sslyze whether secure listeners are what Mozilla's configurations demand, and prints its objections.

`make conformance-tls` runs it. The argument is sslyze's command; the figures stand in docs/how-to/tls.md.
"""

import argparse
import datetime
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from gateway import Authority, Node, Origin, listener, one_route

SCAN_SECONDS = 120
# Ours is made for this scan, and no client of the world trusts who has signed it.
EXPECTED = {"certificate_path_validation"}
LIFETIME = datetime.timedelta(days=80)


def scan(sslyze: str, options: str, config: str) -> tuple[str, dict[str, Any]]:
    """Give sslyze's text and its results for a listener with these options."""
    with tempfile.TemporaryDirectory() as directory, Origin() as origin:
        pair = Authority(Path(directory)).issue("gateway", "localhost", "127.0.0.1", lifetime=LIFETIME)
        section = listener(f"tls: {{certificates: {pair.yaml}{options}}}")
        out = Path(directory) / "result.json"
        with Node(one_route(origin, "", section)) as node:
            target = f"localhost:{node.address[1]}"
            command = [sslyze, f"--mozilla_config={config}", f"--json_out={out}", target]
            run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SCAN_SECONDS)
        return run.stdout, json.loads(out.read_text())["server_scan_results"][0]["scan_result"]


def accepted(result: dict[str, Any]) -> Iterator[str]:
    """Give every cipher suite that was accepted, with its version."""
    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3"):
        for suite in result[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"]:
            yield f"{version} {suite['cipher_suite']['name']}"


def main() -> int:
    """Print what sslyze objects to, for both minimum versions; 1 where that is more than is expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sslyze", help="sslyze's command")
    sslyze = parser.parse_args().sslyze
    failed = False
    for options, config in (("", "intermediate"), (', min_version: "1.3"', "modern")):
        text, result = scan(sslyze, options, config)
        if "Checking results against Mozilla" not in text:
            print(text)
            return 1
        objections = set(re.findall(r"^ +\* ([a-z_]+): ", text, re.MULTILINE))
        failed |= objections != EXPECTED
        print(f"mozilla {config}: objections {sorted(objections - EXPECTED)}, accepted:")
        print("".join(f"  {suite}\n" for suite in accepted(result)), end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
