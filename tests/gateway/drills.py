"""A gateway whose alerts a drill sets off: its configuration, and services that change their minds."""

import threading

from gateway.origin import Connection, Received, plain

SECRET = "a secret of the webhook"
# What is shipped but in time: what takes minutes takes seconds here.
SHORT = "window: 2s, minimum: 10"
TEXT = """\
listeners: [{{name: public, address: "127.0.0.1:{public}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
reload: {{debounce: 50ms}}
defaults: {{rate_limit: none, unauthenticated_tier: none}}
records: {{sinks: []}}
redis: {{url: '{redis}', timeout: 200ms}}
shared_limits: {{deadline: 100ms, failures: 2, open_for: 200ms}}
tiers: [{{name: shared, limit: 1000000, window: 1h, per: client_ip, share: exact}}]
services:
  - {{name: failing, instances: ["{failing}"], circuit_breaker: off}}
  - {{name: silent, instances: ["{origin}"]}}
  - {{name: tail, instances: ["{tail}"]}}
  - {{name: empty, instances: ["{empty}"]}}
  - {{name: dead, instances: ["{dead}"], circuit_breaker: off}}
  - {{name: broken, instances: ["{dead}"], circuit_breaker: {{minimum_requests: 5, open_for: 1h}}}}
  - {{name: limited, instances: ["{origin}"]}}
identities:
  - name: mobile
    kind: jwt
    issuer: https://id.test
    audience: api
    jwks: {{url: "http://{dead}/keys", timeout: 200ms}}
objectives:
  - {{name: failing-up, target: 99.9%, services: [failing], routes: [failing], window: 1d}}
  - {{name: tail-quick, kind: latency, threshold: 100ms, of: total, target: 0.999, services: tail}}
alerts:
  enabled: true
  interval: 200ms
  resolve_after: 400ms
  repeat: 1h
  queue: 50
  max_firing: 20
  rules:
    - {{name: error_rate, {short}}}
    - {{name: error_rate_critical, {short}, lasts: 500ms}}
    - {{name: service_silent, {short}}}
    - {{name: service_bad_gateway, {short}}}
    - {{name: slow_tail, window: 4s, minimum: 100, threshold: 300}}
    - {{name: responses_shrink, {short}}}
    - {{name: route_client_errors, {short}}}
    - {{name: breaker_stuck_open, lasts: 500ms}}
    - {{name: configurations_differ, lasts: 0s}}
    - {{name: bot_traffic, {short}}}
    - {{name: bot_traffic_rises, {short}}}
    - {{name: slow, watch: latency, percentile: 0.5, test: above, threshold: 60000, severity: low}}
  channels:
    - name: ops
      kind: webhook
      url: '{url}'
      secret: {secret}
      severities: [critical, high, medium, low]
      resolved: true
      timeout: 2s
      attempts: 5
    - {{name: dead, kind: webhook, url: "http://{dead}/", attempts: 1}}
routes:
  - {{name: failing, match: /failing, service: failing}}
  - {{name: silent, match: /silent, service: silent}}
  - {{name: tail, match: /tail, service: tail}}
  - {{name: empty, match: /empty, service: empty}}
  - {{name: dead, match: /dead, service: dead}}
  - {{name: broken, match: /broken, service: broken}}
  - {{name: limited, match: /limited, service: limited, rate_limit: {{tier: shared, on_failure: open}}}}
  - {{name: mobile, match: /mobile, service: silent, auth: {{accept: [mobile]}}}}
  - {{name: ok, match: /ok, respond: {{body: ok}}}}
"""


class Moody:
    """A service whose answers a test changes while they are asked for."""

    def __init__(self, good: bytes) -> None:
        self.body = good

    def answer(self, connection: Connection, received: Received) -> None:
        connection.send(self.body)


class Tailed:
    """A service that is slow once in fifty times, when it is."""

    def __init__(self) -> None:
        self.is_slow = False
        self.count = 0
        self._never = threading.Event()

    def answer(self, connection: Connection, received: Received) -> None:
        self.count += 1
        if self.is_slow and self.count % 50 == 0:
            self._never.wait(0.5)
        connection.send(plain())
