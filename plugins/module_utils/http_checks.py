"""HTTP checks as data: what is asked, what must come back, and why a check failed. Sending is the caller's."""

from __future__ import annotations

import dataclasses
import json
import shlex
import statistics
from collections.abc import Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


@dataclasses.dataclass
class Check:
    """One declared check. ``status`` lists the accepted codes; ``json`` maps dotted paths to wanted values.

    ``answer_headers`` maps names to a text that the header has to contain, or to None for one that must not be there.
    ``tls_days`` is for how long the certificate has to last at least, in days; 0 does not look at it.
    ``held`` is a path that is held back on purpose: it has to answer 503 and say when to come again, to anybody who has
    not the secret that passes.
    """

    name: str
    path: str
    method: str = "GET"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: Any = None
    status: list[int] = dataclasses.field(default_factory=lambda: [200])
    contains: list[str] = dataclasses.field(default_factory=list)
    absent: list[str] = dataclasses.field(default_factory=list)
    json: dict[str, Any] = dataclasses.field(default_factory=dict)
    answer_headers: dict[str, str | None] = dataclasses.field(default_factory=dict)
    tls_days: float = 0.0
    max_s: float = 10.0
    rollback_only: bool = False
    baseline: bool = False
    held: bool = False
    token: bool = False

    @property
    def reads_only(self) -> bool:
        """True if the request changes nothing: by its method, or because it must be refused."""
        return self.method in ("GET", "HEAD") or all(status >= 400 for status in self.status)


def parse(declared: list[dict[str, Any]], secrets: dict[str, str]) -> list[Check]:
    """Checks from inventory data. ``secrets`` are headers, such as Authorization, for checks with ``token: true``."""
    checks: list[Check] = []
    known = {field.name for field in dataclasses.fields(Check)}
    for item in declared:
        unknown = sorted(set(item) - known)
        if unknown or not item.get("name") or not str(item.get("path", "")).startswith("/"):
            raise RollbackError(
                "A check needs a name and a path that starts with /, and knows only " + ", ".join(sorted(known)),
                found=", ".join(unknown) or {key: item.get(key) for key in ("name", "path")},
                where="validation_http_checks",
            )
        if item["name"] in [check.name for check in checks]:
            raise RollbackError("Two checks have the same name", found=item["name"], where="validation_http_checks")
        try:
            checks.append(Check(**typed(item, secrets)))
        except (TypeError, ValueError):
            raise RollbackError(
                "A check has a value of the wrong type", found=item["name"], where="validation_http_checks"
            ) from None
    return checks


def typed(item: dict[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
    """Values of one declared check; single values where a list belongs, and numbers as text, are meant as they look."""
    values = dict(item)
    values["method"] = str(values.get("method", "GET")).upper()
    values["status"] = [int(status) for status in many(values.get("status", 503 if values.get("held") else 200))]
    for key in ("contains", "absent"):
        values[key] = [str(text) for text in many(values.get(key, []))]
    values["headers"] = {**values.get("headers", {}), **(secrets if item.get("token") else {})}
    values["token"] = bool(item.get("token"))
    values["json"] = dict(values.get("json", {}))
    values["answer_headers"] = {
        str(name).lower(): None if wanted is None else str(wanted)
        for name, wanted in dict(values.get("answer_headers", {})).items()
    }
    values["tls_days"] = float(values.get("tls_days", 0))
    values["max_s"] = float(values.get("max_s", Check.max_s))
    return values


def many(value: Any) -> list[Any]:
    """A list as it is, anything else as a list of one."""
    return value if isinstance(value, list) else [value]


def lookup(document: Any, dotted: str) -> Any:
    """Value at a dotted path such as ``data.0.status``; None if there is none."""
    for part in dotted.split("."):
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, dict):
            document = document.get(part)
        else:
            return None
    return document


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back: names of ``headers`` are in lower case, ``expires`` is when the certificate does (Unix time)."""

    status: int
    text: str = ""
    seconds: float = 0.0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    expires: float | None = None


def judge(check: Check, answer: Answer, now: float) -> str:
    """Why an answer fails its check; empty if it passes. The answer's text is never repeated."""
    if answer.status not in check.status:
        return f"status {answer.status}, wanted {' or '.join(map(str, check.status))}"
    if check.held and not answer.headers.get("retry-after"):
        return "it does not say when to come again (Retry-After)"
    if answer.seconds > check.max_s:
        return f"took {answer.seconds:.2f} s, at most {check.max_s:g} s allowed"
    return _certificate(check, answer, now) or _headers(check, answer) or _content(check, answer.text)


def _certificate(check: Check, answer: Answer, now: float) -> str:
    if not check.tls_days:
        return ""
    if answer.expires is None:
        return "the answer did not come over TLS"
    left = (answer.expires - now) / 86400
    return "" if left >= check.tls_days else f"the certificate lasts {left:.1f} days, wanted {check.tls_days:g}"


def _headers(check: Check, answer: Answer) -> str:
    for name, wanted in check.answer_headers.items():
        found = answer.headers.get(name)
        if wanted is None and found is not None:
            return f"header {name} is in the answer"
        if wanted is not None and (found is None or wanted not in found):
            return f"header {name} does not contain '{wanted}'"
    return ""


def _content(check: Check, text: str) -> str:
    for wanted in check.contains:
        if wanted not in text:
            return f"'{wanted}' is not in the answer"
    for unwanted in check.absent:
        if unwanted in text:
            return f"'{unwanted}' is in the answer"
    if check.json:
        try:
            document = json.loads(text)
        except ValueError:
            return "the answer is not JSON"
        for path, value in check.json.items():
            if lookup(document, path) != value:
                return f"{path} is not {value!r}"
    return ""


def evidence(check: Check, answer: Answer, at: str) -> str:
    """What was asked and what came back, without its text."""
    if not answer.status:
        return f"{check.method} {check.path} at {at}"
    kind = answer.headers.get("content-type", "no type")
    return f"{check.method} {check.path} at {at}: {answer.status}, {len(answer.text)} characters of {kind}"


def command(check: Check, url: str) -> str:
    """The command with which to ask again by hand; whoever does puts the token in."""
    words = ["curl", "-si", *(["-X", check.method] if check.method != "GET" else [])]
    if check.token:
        words += ["-H", '"Authorization: Bearer $TOKEN"']
    return " ".join([*words, shlex.quote(url + check.path)])


def summary(seconds: list[float]) -> dict[str, float]:
    """``{p50, p95, samples}`` of answer times in seconds."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"p50": round(statistics.median(ordered), 4), "p95": round(p95, 4), "samples": len(ordered)}
