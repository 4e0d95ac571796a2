"""Decision records, as operations show them. What a record has is said by the schema that is published."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gatewright.records.schema import record_schema


def _with_fields(schema: dict[str, Any]) -> None:
    """Add the fields of a record to the schema of a model that has some more."""
    whole = record_schema()
    schema["properties"] = whole["properties"] | schema.get("properties", {})
    schema["required"] = [*whole["required"], *schema.get("required", [])]


class RecordShown(BaseModel):
    """One decision record."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_with_fields)


class ScannedShown(BaseModel):
    """How far a page has looked."""

    segments: int = Field(description="Hours of records that were looked through.")
    of: int


class RecordsShown(BaseModel):
    """A page of records, the newest first."""

    records: list[RecordShown]
    cursor: str | None = Field(description="What `cursor` has to be for the page that follows, if any may.")
    scanned: ScannedShown


class StoredShown(BaseModel):
    """Records in the order in which they are stored."""

    records: list[RecordShown]
    shown: str = Field(description="What `shown` has to be for those that follow.")


class StepShown(BaseModel):
    """What one stage decided."""

    stage: str
    verdict: str
    rule: str | None
    inputs: str = Field(description="As `name=value`, those that mattered.")
    waited_ms: float | None = Field(description="How long it waited for what lies outside, if it did.")
    waited_for: str | None = Field(description="For what: `redis`, `key_store`, ...")
    at: str | None = Field(description="`file:line:column` of the rule.")
    lines: list[str] | None = Field(description="The rule, as it was in the version that decided.")
    changed_since: bool | None = Field(description="Whether the file is another one now.")


class VersionShown(BaseModel):
    """The configuration that decided."""

    version: int
    applied_at: str | None
    newest_version: int | None


class ExplanationShown(BaseModel):
    """Why a request got its answer."""

    answer: str = Field(description="What became of it, in one line.")
    steps: list[StepShown]
    configuration: VersionShown


class ExplainedShown(RecordShown):
    """One decision record, and why it is so."""

    explanation: ExplanationShown


class BucketsShown(BaseModel):
    """Counts of buckets in a row, the first of which has the number `offset`."""

    offset: int
    bucket_counts: list[int]


class HistogramShown(BaseModel):
    """An exponential histogram of OpenTelemetry, in milliseconds."""

    count: int
    sum: float
    scale: int
    zero_count: int
    zero_threshold: float
    positive: BucketsShown
    negative: BucketsShown


class CountsShown(BaseModel):
    """What requests come to."""

    count: int
    rate_per_s: float
    errors: int = Field(description="With a status of 500 or above, or without one.")
    error_share: float | None
    request_bytes: int
    response_bytes: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class GroupShown(CountsShown):
    """Requests that have the same values of the fields that were asked for, which are here too."""

    model_config = ConfigDict(extra="allow")

    histogram: HistogramShown | None = Field(None, description="With `histograms=true`.")


class SummaryShown(BaseModel):
    """Requests by group."""

    source: Literal["rollups", "records"]
    resolution: str = Field(description="`record`, or of the roll-ups that were counted.")
    since: str
    until: str
    latency: str = Field(description="Whose percentiles are told.")
    percentile_error: float = Field(description="By how much a percentile is wrong at most, as a share.")
    groups: list[GroupShown]
    groups_left_out: int
