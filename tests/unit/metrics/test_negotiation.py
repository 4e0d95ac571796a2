"""Who scrapes gets the format that it asks for, and never one that it does not know."""

import pytest

from gatewright.metrics.negotiation import OPENMETRICS, PROTOBUF, TEXT, Offer, negotiate

PROTOBUF_ACCEPTED = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)


@pytest.mark.parametrize(
    ("accept", "offer"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        ("application/json", TEXT),
        # Prometheus 2.42 without and with native histograms.
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPENMETRICS,
        ),
        (f"{PROTOBUF_ACCEPTED},application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1", PROTOBUF),
        (f"text/plain;version=0.0.4;q=0.9,{PROTOBUF_ACCEPTED};q=0.5", TEXT),
        (f"{PROTOBUF_ACCEPTED};q=0,text/plain;q=0.1", TEXT),
        (PROTOBUF_ACCEPTED.replace("delimited", "text"), TEXT),
        ("application/vnd.google.protobuf;proto=other.Message;encoding=delimited", TEXT),
        ("application/openmetrics-text;version=2.0.0,text/plain;version=0.0.4;q=0.5", TEXT),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8; q=nonsense", TEXT),
        ('Application/OpenMetrics-Text; Version="1.0.0"', OPENMETRICS),
        (";;,,q=1", TEXT),
    ],
)
def test_the_preferred_format_that_can_be_had_is_given(accept: str, offer: Offer) -> None:
    assert negotiate(accept) == offer
