"""Quotas of days outlive the process: all of them where it ends, all but the last where it is killed."""

import json
import signal

import pytest

from faults.conftest import Setting
from faults.process import wait_until
from gateway import get
from gatewright.control.quotas import QuotaFile

TEXT = """\
version: 1
node: {{drain_timeout: 5s, quota_save_interval: {interval}}}
listeners: [{{name: public, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
tiers: [{{name: daily, limit: 1000, calendar: day, zone: Pacific/Kiritimati, per: client_ip}}]
routes: [{{name: all, match: /*, service: self, rate_limit: daily}}]
"""


def remaining(setting: Setting) -> int:
    return int(get(("127.0.0.1", setting.port), "/").get("x-ratelimit-remaining") or -1)


def stored(setting: Setting) -> int:
    file = QuotaFile(setting.directory / ".gatewright" / "quotas.sqlite")
    return sum(line["used"] for batch in file.batches(("daily",), 0) for line in json.loads(batch))


# One that ends stores what it has, however long the interval is; of one that is killed only what was stored
# before can be left.
@pytest.mark.parametrize(("how", "interval"), [(signal.SIGTERM, "60s"), (signal.SIGKILL, "100ms")])
def test_a_node_goes_on_counting_where_the_one_before_was(
    setting: Setting, how: signal.Signals, interval: str
) -> None:
    setting.write(TEXT.format(port=setting.port, admin=setting.admin, interval=interval))
    with setting.run() as process:
        assert [remaining(setting) for _ in range(3)] == [999, 998, 997]
        if how == signal.SIGKILL:
            wait_until("three requests stored", lambda: stored(setting) == 3)
            wait_until("they to be counted", lambda: process.metric("gateway_quota_saves_total") >= 1)
        process.signal(how)
        process.wait()
    assert stored(setting) == 3
    with setting.run():
        assert remaining(setting) == 996
