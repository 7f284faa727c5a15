"""Asks a pod's control port for its load report.

Rules: one GET on a connection that is kept, with a time-out of its own; whatever comes back is a PodReport, with the
problem in words where it is not one to build on: no answer, no load report, another pod's, or one that cannot be true.
Spreading the questions over the interval is the metrics loop's.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import aiohttp
from pydantic import ValidationError

from weir_api.report import LoadReport, PolicyReport
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.book import Entry
from weir_operator.observed import Pod, PodReport
from weir_operator.plausible import plausible

REQUEST_S = 1.0
AT_ONCE = 512  # questions in flight: a quarter of 3,000 pods may hang and the others are still asked in time
KEPT_S = 30.0  # that an idle connection is kept
MOST_BYTES = 256 * 1024


def control_session(request_s: float = REQUEST_S) -> aiohttp.ClientSession:
    """For pods' control ports, theirs only: no proxy, no cookies, no redirect that is worth following."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=request_s),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
    )


def address(pod: Pod, port: int, path: str) -> str:
    """Of something on the pod's control port."""
    assert pod.ip is not None
    host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
    return f"http://{host}:{port}{path}"


async def body_of(answer: aiohttp.ClientResponse) -> bytes:
    """The answer's body; raises ClientPayloadError where it is longer than any load report."""
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > MOST_BYTES:
            raise aiohttp.ClientPayloadError(f"more than {MOST_BYTES} bytes")
    return bytes(body)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a pod answered: its policy counts even where its load cannot be believed, or it would never be told what
    makes it believable."""

    report: PodReport
    policy: PolicyReport | None = None


def heard(pod: Pod, spec: StreamingPipelineSpec | None, body: bytes, now: float) -> Heard:
    """What the body of an answer says; `spec` is what the report has to fit, None: that is not known."""
    try:
        report = LoadReport.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        return Heard(PodReport(now, None, f"no load report: {where}: {first['msg']}"))
    if report.pod_uid not in ("", pod.uid):
        return Heard(PodReport(now, None, "another pod answers at its address"))
    problem = "" if spec is None else plausible(report, spec)
    return Heard(PodReport(now, None, problem) if problem else PodReport(now, report), report.policy)


def note(entry: Entry, pod: Pod, answer: Heard) -> None:
    """Write down what a pod said; one question without an answer leaves what it said before, until that is too old."""
    before = entry.reports.get(pod.uid)
    if before is None or answer.report.answered:
        entry.reports[pod.uid] = answer.report
    else:
        entry.reports[pod.uid] = replace(before, problem=answer.report.problem, answered=False)
    if answer.policy is not None:
        entry.acknowledged[pod.uid] = answer.policy.epoch, answer.policy.revision


class Scraper:
    """`clock`: Unix seconds."""

    def __init__(
        self, session: aiohttp.ClientSession, clock: Callable[[], float], port: int = names.CONTROL_PORT
    ) -> None:
        self._session, self._clock, self.port = session, clock, port
        self._room = asyncio.Semaphore(AT_ONCE)

    async def ask(self, entry: Entry, pod: Pod, spec: StreamingPipelineSpec | None) -> None:
        """Write down in `entry` what the pod says now."""
        async with self._room:
            answer = await self._ask(pod, spec)
        note(entry, pod, answer)

    async def _ask(self, pod: Pod, spec: StreamingPipelineSpec | None) -> Heard:
        where = address(pod, self.port, "/control/load")
        try:
            async with self._session.get(where, allow_redirects=False) as answer:
                body = await body_of(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Heard(PodReport(self._clock(), None, f"no answer: {type(error).__name__}", answered=False))
        if answer.status != 200:
            return Heard(PodReport(self._clock(), None, f"answered {answer.status}", answered=False))
        return heard(pod, spec, body, self._clock())
