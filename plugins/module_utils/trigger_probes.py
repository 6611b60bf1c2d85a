"""HTTP probes from several vantages: a service fails only where nobody reaches it, else the way there does."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import errno
import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.http_checks import Answer, Check, judge
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import Series, counted

#: How a probe names itself, so that logs tell it from users.
AGENT = "campaign.rollback-probe"
MOST_BYTES = 1024 * 1024
#: A vantage that cannot send says nothing about the service.
_OWN = (errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE)
GOOD, BAD, UNSURE, HELD = "good", "bad", "unsure", "held"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_unused: Any) -> None:
        """An answer that leads elsewhere is an answer."""


def ask(url: str, check: Check, timeout_s: float) -> tuple[str, str]:
    """One of the words above, and why."""
    body = None if check.body is None else json.dumps(check.body).encode()
    headers = {"User-Agent": AGENT, **({"Content-Type": "application/json"} if body else {}), **check.headers}
    request = urllib.request.Request(url + check.path, data=body, headers=headers, method=check.method)
    # Past any proxy: what is asked is the service.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())
    began = time.monotonic()
    try:
        with opener.open(request, timeout=timeout_s) as reply:
            status, told, text = reply.status, reply.headers, reply.read(MOST_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            status, told, text = error.code, error.headers, error.read(MOST_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _silence(error)
    if status == 503 and told.get("Retry-After") and 503 not in check.status:
        return HELD, "told to come again later"
    headers = {name.lower(): value for name, value in told.items()}
    answer = Answer(status, text.decode("utf-8", "replace"), time.monotonic() - began, headers)
    # How long a certificate lasts is a matter of validation: users are served until it ends.
    why = judge(dataclasses.replace(check, tls_days=0), answer, time.time())
    return (BAD, why) if why else (GOOD, "")


def _silence(error: Exception) -> tuple[str, str]:
    cause = getattr(error, "reason", error)
    # Whether the certificate is trusted, and for how long, is a matter of validation, which knows the authority to ask.
    own = (
        isinstance(cause, ssl.SSLCertVerificationError)
        or (isinstance(cause, OSError) and cause.errno in _OWN)
        or (isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN)
    )
    return (UNSURE if own else BAD), f"no answer: {type(cause).__name__}"


def sample(
    urls: Mapping[str, str], checks: Sequence[Check], vantage: str, timeout_s: float, workers: int = 8
) -> list[Series]:
    """Every check on every address, at the same time; one series each, measure ``answer``, from this ``vantage``."""
    asked = [(target, url, check) for target, url in urls.items() for check in checks]
    with concurrent.futures.ThreadPoolExecutor(max_workers=workers) as pool:
        answers = list(pool.map(lambda item: ask(item[1], item[2], timeout_s), asked))
    found = []
    for (target, _url, check), (word, why) in zip(asked, answers):
        place = [f"{check.name} on {target} from {vantage}: {why}"] if why else []
        numbers = (float(word != UNSURE and word != HELD), float(word == BAD), float(word == UNSURE))
        found.append(
            counted(
                "probes",
                "answer",
                *numbers,
                name=check.name,
                host=target,
                vantage=vantage,
                evidence=place,
                note=_note(word),
            )
        )
    return found


def _note(word: str) -> str:
    return "probes that were told to come again later do not count" if word == HELD else ""


def together(series: Sequence[Series], vantages: int, functions: Mapping[str, Sequence[str]]) -> list[Series]:
    """What all vantages say of each probe (measure ``availability``), and of how many functions (``broken_functions``).

    One that reaches the service proves that it is there, unless another one does not: then it is unsure, and so it is
    while not all of the ``vantages`` answer.
    """
    answers: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        if one.source == "probes" and one.measure == "answer":
            answers.setdefault((one.name, one.host), []).append(one)
    found, words = [], {}
    for (name, host), own in answers.items():
        word = words[name, host] = _word(own, vantages)
        places = [place for one in own for place in one.evidence]
        numbers = {GOOD: (1, 0, 0), BAD: (1, 1, 0), UNSURE: (0, 0, 1), HELD: (0, 0, 0)}[word]
        note = next((one.note for one in own if one.note), "")
        found.append(counted("probes", "availability", *numbers, name=name, host=host, evidence=places, note=note))
    return found + _functions(words, functions, answers)


def _word(own: Sequence[Series], vantages: int) -> str:
    total, bad, unsure = (sum(one.rows[0][column] for one in own) for column in (2, 3, 4))
    if any(one.note for one in own):
        return HELD
    if bad == 0 and total > 0:
        return GOOD
    return BAD if bad == total and not unsure and len({one.vantage for one in own}) >= vantages else UNSURE


def _functions(
    words: Mapping[tuple[str, str], str],
    functions: Mapping[str, Sequence[str]],
    answers: Mapping[tuple[str, str], Sequence[Series]],
) -> list[Series]:
    """A function is broken where one of its tests fails."""
    states = []
    for tests in functions.values():
        own = {word for (name, _host), word in words.items() if name in tests}
        if own - {HELD}:
            states.append(BAD if BAD in own else UNSURE if UNSURE in own else GOOD)
    if not states:
        return []
    tested = {name for tests in functions.values() for name in tests}
    places = [
        place for (name, _host), own in answers.items() if name in tested for one in own for place in one.evidence
    ]
    unsure = states.count(UNSURE)
    return [counted("probes", "broken_functions", len(states) - unsure, states.count(BAD), unsure, evidence=places)]
