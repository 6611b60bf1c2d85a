"""Where a run can be killed: pure functions from the record of a complete run to the points worth trying.

A boundary is the moment a task is about to start. Tasks that change no host leave the same durable state as the next
one that does, so a point is the start of a task that may change a host, and stands for the boundaries before it.
"""

from __future__ import annotations

import dataclasses
import datetime
import random
import re
from collections.abc import Iterable, Sequence
from typing import Any

#: Actions that never leave the controller.
CONTROLLER_ONLY = {
    "ansible.builtin." + name
    for name in (
        *("add_host", "assert", "debug", "fail", "group_by", "import_role", "import_tasks", "include_role"),
        *("include_tasks", "include_vars", "meta", "pause", "set_fact", "set_stats", "validate_argument_spec"),
    )
}
#: Actions that touch a host and change nothing there, besides every module whose name ends in _info.
READ_ONLY = {
    "ansible.builtin.async_status",
    "ansible.builtin.stat",
    "ansible.builtin.uri",
    "campaign.rollback.database_integrity",
}


@dataclasses.dataclass(frozen=True)
class Inside:
    """The middle of a task: where, and what tells that it is under way (see inside/freeze.py).

    A task that goes on in the background is over before the task that ``until`` names, others before the next one.
    """

    playbook: str
    task: str
    host: str
    kind: str
    wanted: str
    until: str = ""


LOADING = "--binary-mode.*__shadow_"
#: Every long task, and every one that changes what is live.
INSIDE = (
    Inside("capture-restore-point", "Capture | Back up the schema", "data1", "process", "mariadb-dump"),
    Inside("capture-restore-point", "Capture | Restore it in a test", "data1", "process", "--binary-mode.*__standby"),
    Inside("rollback-full", "Beside | Begin to load", "data1", "process", LOADING, "Beside | Check that the swap"),
    Inside("rollback-full", "Stage | Prepare the caches", "web1", "process", "artisan"),
    Inside("rollback-full", "Hold | Stop what changes data", "web1", "journal", "services"),
    Inside("rollback-full", "Switch | Make the restored release", "wa1", "journal", "application"),
    Inside("rollback-full", "Switch | Make the restored release", "web1", "journal", "application"),
    Inside("rollback-full", "Switch | Restore the environment", "web1", "journal", "env_restore"),
    Inside("rollback-full", "Beside | Swap the schemas", "data1", "journal", "database"),
    Inside("rollback-full", "Switch | Let the services take over", "wa1", "process", "pm2"),
    Inside("rollback-full", "Switch | Let the services take over", "web1", "process", "systemctl"),
    Inside("undo-rollback", "Undo | Swap the schemas back", "data1", "journal", "database"),
    Inside("undo-rollback", "Undo | Put the replaced environment", "web1", "journal", "env_restore"),
    Inside("undo-rollback", "Undo | Make the release live", "web1", "journal", "application"),
    Inside("undo-rollback", "Undo | Let the services take over", "web1", "process", "systemctl"),
)
#: With the controller dead, what it had started on the host lives on, or dies as well.
FLAVOURS = ("thaw", "kill")


@dataclasses.dataclass(frozen=True)
class Point:
    """One place to kill a run of ``playbook``: before task ``key``, or with ``inside`` in the middle of it.

    ``stands_for`` counts the boundaries that leave the same durable state.
    """

    playbook: str
    key: str
    stands_for: int = 1
    inside: Inside | None = None
    flavour: str = ""

    @property
    def name(self) -> str:
        """Stable across runs: play, task and how often it had started, not a number in a list."""
        place = f" | inside {self.inside.host}, {self.flavour}" if self.inside else ""
        return f"{self.playbook} | {self.key}{place}"

    @property
    def play(self) -> str:
        """Play that the task belongs to."""
        return self.key.split(" | ")[0]


def changes_nothing(action: str) -> bool:
    """Whether an action leaves every host as it was."""
    return action in CONTROLLER_ONLY or action in READ_ONLY or action.endswith("_info")


def changing(events: Iterable[dict[str, Any]]) -> set[str]:
    """Keys of the tasks that may have changed a host."""
    actions: dict[str, str] = {}
    found = set()
    for event in events:
        if event["event"] == "task":
            actions[event["key"]] = event["action"]
            continue
        acted = event["event"] == "result" and event["status"] != "skipped" and event["host"] != "localhost"
        if acted and not changes_nothing(actions[event["key"]]):
            found.add(event["key"])
    return found


def keys(events: Iterable[dict[str, Any]]) -> list[str]:
    """Every boundary in order."""
    return [event["key"] for event in events if event["event"] == "task"]


def boundaries(playbook: str, events: Sequence[dict[str, Any]]) -> list[Point]:
    """The points of a recorded run at task boundaries; the last is the boundary after everything was done."""
    changed = changing(events)
    found, waiting = [], 0
    for key in keys(events):
        waiting += 1
        if key in changed:
            found.append(Point(playbook, key, waiting))
            waiting = 0
    last = keys(events)[-1:]
    if last and waiting:
        found.append(Point(playbook, last[0], waiting))
    return found


def insides(playbook: str, events: Sequence[dict[str, Any]], catalogue: Sequence[Inside] = INSIDE) -> list[Point]:
    """The points of a recorded run inside tasks, each in both flavours.

    Raises LookupError for a task that no longer exists, so that the matrix does not shrink unnoticed.
    """
    found = []
    for inside in catalogue:
        if inside.playbook != playbook:
            continue
        hits = [
            event["key"]
            for event in events
            if event["event"] == "result"
            and event["host"] == inside.host
            and event["status"] == "ok"
            and inside.task in event["key"]
        ]
        if not hits:
            raise LookupError(f"no task '{inside.task}' ran on {inside.host} in {playbook}; correct points.INSIDE")
        # A rehearsal in check mode may come first under another name; the last one is the change.
        found += [Point(playbook, hits[-1], 0, inside, flavour) for flavour in FLAVOURS]
    return found


def following(events: Sequence[dict[str, Any]], key: str, until: str = "") -> str:
    """The next boundary after ``key`` that ``until`` is part of: it catches a run whose inside went by too fast."""
    known = keys(events)
    return next((after for after in known[known.index(key) + 1 :] if until in after), "")


def seed_of(text: str, today: datetime.date) -> int:
    """Seed of the sample: what was asked for, or the day of the year."""
    return int(text) if re.fullmatch(r"\d+", text) else today.timetuple().tm_yday


def sample(points: Sequence[Point], size: int, seed: int) -> list[Point]:
    """One point of every play of the switch, and others up to ``size``; the same for the same seed."""
    chooser = random.Random(seed)
    plays = sorted({point.play for point in points if point.playbook == "rollback-full" and "SWITCH" in point.play})
    chosen = [
        chooser.choice([point for point in points if point.playbook == "rollback-full" and point.play == play])
        for play in plays
    ]
    rest = [point for point in points if point not in chosen]
    # The undo and the resume of a run are in every sample, whatever the switch takes.
    for playbook in ("undo-rollback", "resume-rollback"):
        of_kind = [point for point in rest if point.playbook == playbook]
        if of_kind:
            chosen.append(chooser.choice(of_kind))
    rest = [point for point in rest if point not in chosen]
    more = max(0, size - len(chosen))
    chosen += chooser.sample(rest, min(more, len(rest)))
    return [point for point in points if point in chosen]


class Waiting:
    """Points that are still to be tried, in their order."""

    def __init__(self, points: Iterable[Point]) -> None:
        """Take them; those of a resume come last, because they need a killed rollback first."""
        self.points = sorted(points, key=lambda point: point.playbook == "resume-rollback")
        #: Those that a run after a killed rollback does not come to.
        self.alone: list[Point] = []

    def _take(self, playbooks: Iterable[str], but: Iterable[Point] = ()) -> Point | None:
        found = next((point for point in self.points if point.playbook in playbooks and point not in but), None)
        if found:
            self.points.remove(found)
        return found

    def first(self, ready: set[str]) -> Point | None:
        """The next point, of one of the playbooks that are ``ready`` to start if there is any; None at the end."""
        return self._take(ready - {"resume-rollback"}) or self._take([point.playbook for point in self.points])

    def second(self, first: Point, playbooks: Iterable[str]) -> Point | None:
        """A point at which to kill what recovers a rollback that was killed at ``first``, sought in that order."""
        if first.playbook != "rollback-full":
            return None
        return next(filter(None, (self._take([playbook], self.alone) for playbook in playbooks)), None)

    def put_back(self, point: Point, alone: bool) -> None:
        """It was not tried; ``alone`` if it has to be tried from the usual start."""
        self.points.insert(0, point)
        self.alone += [point] if alone else []
