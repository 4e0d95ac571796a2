"""Traces: where spans go, and what has no effect."""

import importlib.util
from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.errors import Problem

SINK_NAME = "traces"
"""What the lane of the spans is called where it has no name."""


def check(view: View) -> Iterator[Problem]:
    """Find exports that cannot be made, and shares that nobody samples by."""
    gateway = view.gateway
    tracing = gateway.tracing
    if tracing is None:
        if view.complete:
            yield from _samples_without_traces(view)
        return
    export = tracing.export
    if export is None:
        return
    if export.protocol == "grpc" and importlib.util.find_spec("grpc") is None:
        yield view.at("tracing", "export", "protocol").problem(
            "`grpc` needs grpcio; `pip install 'gatewright[grpc]'`, or use `http`"
        )
    if export.ca_file is not None and not export.url.startswith("https://"):
        yield view.at("tracing", "export", "ca_file").problem(
            "`ca_file` has no effect without TLS; let `url` begin with `https://`"
        )
    if export.retry.first > export.retry.longest:
        yield view.at("tracing", "export", "retry").problem(
            f"`first` is longer than `longest`; write `first: {export.retry.longest}` or less"
        )
    name = export.name or SINK_NAME
    if view.complete and any((sink.name or sink.kind) == name for sink in gateway.records.sinks):
        yield view.at("tracing", "export").problem(
            f"a sink of records is called `{name}` too; give one of them a `name` of its own"
        )


def _samples_without_traces(view: View) -> Iterator[Problem]:
    for number, route in view.routes():
        if route.trace_sample is not None:
            yield view.at("routes", number, "trace_sample").problem(
                "`trace_sample` has no effect without `tracing`; add `tracing: {}`"
            )
