"""The event source of ansible-rulebook, with checks of its own and as the real rulebooks use it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
import yaml
from trigger_world import inventory, traffic, write

ROOT = pathlib.Path(__file__).parents[3]
SOURCE = ROOT / "extensions" / "eda" / "plugins" / "event_source" / "triggers.py"
RULEBOOKS = sorted((ROOT / "extensions" / "eda" / "rulebooks").glob("*.yml"))
QUIET = {"fired": [], "pending": [], "level": "", "held": "", "rules": []}
FIRED = {**QUIET, "fired": ["error_rate"], "level": "partial"}


@pytest.fixture(scope="module")
def source():
    specification = importlib.util.spec_from_file_location("triggers_source", SOURCE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def watched(source, results, **arguments):
    """Events of a watch whose checks end with ``results``, and how many were made; after the last it is stopped."""
    told, left, under_way = [], list(results), []

    def run(_playbook, _inventory, _timeout_s, stopped):
        assert not under_way, "two checks at once"
        # One that is begun before the stop arrives lasts until then.
        while not left and not stopped():
            time.sleep(0.001)
        if not left:
            return QUIET
        under_way.append(1)
        result = left.pop(0)
        under_way.pop()
        if isinstance(result, Exception):
            raise result
        return dict(result)

    class Queue:
        async def put(self, event):
            told.append(event["triggers"])

    async def watch():
        task = asyncio.create_task(source.main(Queue(), {"interval_s": 0.001, **arguments}, run))
        while left and not task.done():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(watch())
    return told, len(results) - len(left)


#: A watch whose time is over with its first check.
AT_ONCE = {"minutes": 1e-9}


def test_a_quiet_check_is_no_event_and_a_watch_ends_with_its_time(source):
    assert watched(source, [QUIET, QUIET, QUIET]) == ([], 3)
    assert watched(source, [QUIET, QUIET, QUIET], **AT_ONCE) == ([], 1)


def test_what_fired_is_told_again_with_each_check(source):
    told, _made = watched(source, [FIRED, FIRED, QUIET])
    assert [one["fired"] for one in told] == [["error_rate"], ["error_rate"]]
    assert all(one["level"] == "partial" and one["at"] <= time.time() for one in told)


def test_a_check_that_failed_is_told_and_the_next_one_is_made(source):
    told, _made = watched(source, [{"error": "web1: no answer"}, OSError("no fork"), FIRED, QUIET])
    assert [one.get("error") for one in told] == ["web1: no answer", "OSError: no fork", None]


def test_it_does_not_end_while_a_rollback_that_it_started_may_be_under_way(source):
    held = {**QUIET, "held": "the system is held: rollback"}
    told, made = watched(source, [FIRED, held, held, QUIET, QUIET], **AT_ONCE)
    assert (len(told), made) == (1, 4)


def test_it_does_not_end_before_it_is_known_whether_something_fires(source):
    pending = {**QUIET, "pending": ["error_rate"]}
    assert watched(source, [pending, pending, QUIET, QUIET], **AT_ONCE) == ([], 3)


@pytest.mark.parametrize("given", [{"interval": 5}, {"interval_s": 91}])
def test_an_argument_that_it_does_not_know_or_cannot_use_is_refused(source, given):
    with pytest.raises(ValueError, match="interval"):
        asyncio.run(source.main(asyncio.Queue(), given, None))


def test_a_watch_whose_last_check_failed_does_not_end_well(source):
    with pytest.raises(RuntimeError, match="web1: no answer"):
        asyncio.run(source.main(asyncio.Queue(), AT_ONCE, lambda *_arguments: {"error": "web1: no answer"}))


def test_when_it_is_stopped_the_check_ends_first(source):
    began, over, ended = threading.Event(), threading.Event(), []

    def run(_playbook, _inventory, _timeout_s, stopped):
        began.set()
        while not stopped() and not over.is_set():
            time.sleep(0.001)
        ended.append(stopped())

    async def stop():
        watch = asyncio.create_task(source.main(asyncio.Queue(), {}, run))
        await asyncio.to_thread(began.wait)
        watch.cancel()
        await asyncio.wait([watch])
        assert watch.cancelled()
        over.set()
        assert ended == [True]

    asyncio.run(stop())


@pytest.mark.parametrize("path", RULEBOOKS, ids=lambda path: path.stem)
def test_rulebooks_are_what_ansible_rulebook_takes(path, monkeypatch):
    pytest.importorskip("ansible_rulebook")
    from ansible_rulebook import rules_parser
    from ansible_rulebook.validators import Validate

    monkeypatch.setenv("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    Validate.rulebook(content)
    (rules,) = rules_parser.parse_rule_sets(content, {})
    answer = rules.rules[0]
    assert answer.actions[0].action_args["name"] == "{{ project }}/extensions/eda/answer.yml"
    assert answer.throttle.once_within == ("10 minutes" if path.stem == "watch" else "1 minute")
    # One at a time, or a second answer would be given beside a rollback.
    assert rules.execution_strategy.name == "SEQUENTIAL"


@pytest.fixture
def place(tmp_path):
    """A system whose requests fail, and a project whose answer only says that it was given."""
    now = time.time()
    write(tmp_path / "access.log", traffic(now - 1000, now, share=0.4))
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "hosts.yml").write_text(yaml.safe_dump(inventory(tmp_path)))
    (tmp_path / "extensions").symlink_to(ROOT / "extensions")
    playbooks = tmp_path / "playbooks"
    playbooks.mkdir()
    written = {"path": str(tmp_path / "answers"), "line": "{{ ansible_eda.rule }}{{ now() }}", "create": True}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.lineinfile": written}]}
    (playbooks / "answer-triggers.yml").write_text(yaml.safe_dump([play]))
    return tmp_path


@contextlib.contextmanager
def rulebook(place, name, **variables):
    """The real ansible-rulebook, as an operator starts it."""
    (place / "watch.yml").write_text(yaml.safe_dump({"project": str(place), **variables}))
    argv = ["ansible-rulebook", "--rulebook", f"campaign.rollback.{name}", "--vars", str(place / "watch.yml")]
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_INVENTORY": str(place / "inventory")}
    settings["JAVA_TOOL_OPTIONS"] = "-Xrs"  # signals are not Java's
    with (
        open(place / "log", "w") as log,
        subprocess.Popen(argv, cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def answers(place):
    path = place / "answers"
    return len(path.read_text().splitlines()) if path.exists() else 0


def until(condition, process):
    end = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, "the rulebook ended"
        assert time.monotonic() < end, "in vain"
        time.sleep(0.05)


def descendants(place):
    """Processes that this rulebook began, told by their environment."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += [path.parent.name] if str(place / "inventory").encode() in path.read_bytes() else []
    return found


def checked_at(place):
    return json.loads((place / "state" / "triggers.json").read_text())["verdicts"]["error_rate"][""]["at"]


def test_a_watch_answers_what_fired_once_and_stops_cleanly(place):
    with rulebook(place, "watch", interval_s=0.1) as process:
        until(lambda: answers(place), process)
        seen = checked_at(place)
        until(lambda: checked_at(place) > seen, process)
        # The next check is under way by now, and ends too.
        process.terminate()
        assert process.wait(300) == 0
        assert descendants(place) == []
    assert answers(place) == 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sent(port, headers):
    """Status with which the webhook answers what Alertmanager sends."""
    body = {
        "version": "4",
        "groupKey": '{}:{level="partial"}',
        "status": "firing",
        "receiver": "rollback",
        "groupLabels": {"level": "partial"},
        "commonLabels": {"level": "partial"},
        "commonAnnotations": {},
        "alerts": [{"status": "firing", "labels": {"trigger": "error_rate"}, "startsAt": "2026-11-22T08:00:00Z"}],
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/endpoint", json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_webhook_answers_senders_who_know_the_token(place):
    port = free_port()
    with rulebook(place, "alertmanager", webhook_port=port, webhook_token="only-for-this-test") as process:
        until(lambda: listens(port), process)
        assert [sent(port, {}), sent(port, {"Authorization": "Bearer wrong"})] == [401, 401]
        assert answers(place) == 0
        known = {"Authorization": "Bearer only-for-this-test"}
        assert [sent(port, known), sent(port, known)] == [200, 200]
        until(lambda: answers(place), process)
    assert answers(place) == 1
