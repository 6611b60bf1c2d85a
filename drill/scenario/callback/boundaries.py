"""Ansible callback: writes down every task boundary, and stops the controller at the chosen ones."""

from __future__ import annotations

import collections
import json
import os
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: boundaries
type: notification
short_description: Record task boundaries, stop at chosen ones
description:
  - Writes one JSON line an event to the file that the variable BOUNDARIES_EVENTS names.
  - At a task whose key is in BOUNDARIES_STOP (a JSON list), the controller waits before any host is given the task,
    until somebody opens the named pipe BOUNDARIES_GO for writing, or for ever, because it is killed.
  - Keeps the modules that Ansible builds in the directory BOUNDARIES_MODULES for the next run.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Runs in the controller's main process, which gives no task to a host while this waits."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "boundaries"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Open the record."""
        super().__init__()
        self.events = open(os.environ["BOUNDARIES_EVENTS"], "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        self.stops = set(json.loads(os.environ.get("BOUNDARIES_STOP", "[]")))
        self.play = ""
        self.seen: collections.Counter[tuple[str, str]] = collections.Counter()
        self.keys: dict[str, str] = {}

    def _write(self, event: str, **fields: Any) -> None:
        self.events.write(json.dumps({"event": event, **fields}) + "\n")

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Ansible builds each module anew in every run, a fifth of its time; hundreds of runs here need the same."""
        os.symlink(os.environ["BOUNDARIES_MODULES"], os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Plays give their name to the boundaries."""
        self.play = play.get_name()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool = False) -> None:
        """A boundary: the task is known, no host has it yet."""
        name = task.get_name()
        self.seen[(self.play, name)] += 1
        key = f"{self.play} | {name} | {self.seen[(self.play, name)]}"
        self.keys[task._uuid] = key
        self._write("task", key=key, action=task.resolved_action or task.action)
        if key in self.stops:
            self._write("stopped", key=key)
            with open(os.environ["BOUNDARIES_GO"], encoding="utf-8") as go:
                go.read()

    v2_playbook_on_handler_task_start = v2_playbook_on_task_start

    def _result(self, result: Any, status: str) -> None:
        fields = result.task_fields
        self._write(
            "result",
            key=self.keys.get(result.task._uuid, ""),
            host=fields.get("delegate_to") or result.host.get_name(),
            status=status,
            ignored=bool(fields.get("ignore_errors")),
            msg=str(result.result.get("msg", "")) if status in ("failed", "unreachable") else "",
        )

    def v2_runner_on_ok(self, result: Any) -> None:
        """The task was done on a host."""
        self._result(result, "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """The task failed on a host."""
        self._result(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """The host did not answer."""
        self._result(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """The host had nothing to do."""
        self._result(result, "skipped")
