"""Formats of traces of requests: which column says what, in which unit, and how a client's name becomes one.
Read by `sim.scenario.files.traces`; a scenario names one as `format` and may name other columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from sim.registry.registry import Family

Unit = Literal["ns", "us", "ms", "s", "min", "h"]
ClientBy = Literal["number", "order", "hash"]


class Roles(NamedTuple):
    """The columns of a file by what they say; None: none does. work: these are added up."""

    time: str | None = None
    client: str | None = None
    group: str | None = None
    sample: str | None = None
    duration: str | None = None
    work: tuple[str, ...] = ()

    def single(self) -> dict[str, str | None]:
        """All but the work, which may have several."""
        return {role: name for role, name in self._asdict().items() if role != "work"}


@dataclass(frozen=True)
class TraceFormat:
    """What is known of a format.

    may_lack: roles whose column need not be there. begins_at_first: t = 0 is the first row's time, else that
    of a time of 0. sorts: its rows stand in no order of time. is_counts: instead of a time a row has columns
    1, 2, ..., with the requests of each minute. written: where the format comes from.
    """

    name: str
    roles: Roles
    written: str
    may_lack: tuple[str, ...] = ()
    unit: Unit = "s"
    client_by: ClientBy = "order"
    begins_at_first: bool = True
    sorts: bool = False
    is_counts: bool = False


TRACE_FORMATS: Family[TraceFormat] = Family(
    "trace_format",
    "format of a trace",
    TraceFormat(
        "csv",
        Roles("time", "client", "group"),
        "CSV, Parquet or JSON lines with columns of these names, or as `columns` names them",
        may_lack=("client", "group"),
        client_by="number",
        begins_at_first=False,
    ),
    TraceFormat(
        "azure_functions_2019",
        Roles(client="HashApp"),
        "Azure Functions 2019, `invocations_per_function_md.anon.d01.csv`: a day of counts per minute",
        is_counts=True,
    ),
    TraceFormat(
        "azure_functions_2021",
        Roles("end_timestamp", client="app", duration="duration", work=("duration",)),
        "Azure Functions 2021, `AzureFunctionsInvocationTraceForTwoWeeksJan2021.txt`",
        sorts=True,
    ),
    TraceFormat(
        "azure_llm",
        Roles("TIMESTAMP", work=("ContextTokens", "GeneratedTokens")),
        "Azure LLM inference 2023 and 2024, `AzureLLMInferenceTrace_conv.csv` and its like",
    ),
    TraceFormat(
        "burstgpt",
        Roles("Timestamp", client="Session ID", work=("Request tokens", "Response tokens")),
        "BurstGPT, `BurstGPT_1.csv` to `BurstGPT_3.csv`",
        may_lack=("client",),
    ),
    TraceFormat(
        "mooncake",
        Roles("timestamp", work=("input_length", "output_length")),
        "Mooncake, `conversation_trace.jsonl` and its like: JSON lines",
        unit="ms",
    ),
)

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = TRACE_FORMATS.literal()
