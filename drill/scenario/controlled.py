"""A playbook run that can be stopped at a task boundary, frozen inside a change, and killed with all it started."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: Modules as Ansible built them, for all runs of this program.
MODULES = tempfile.TemporaryDirectory(prefix="drill-modules-")
#: No playbook here takes longer, unless it hangs.
LIMIT_S = 900.0


class Hung(Exception):
    """Something did not happen within its time."""


def wait_until(what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``condition`` returns once that is true; raises Hung, naming it, after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise Hung(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.02)
    return found


def marked(marks: list[bytes]) -> list[int]:
    """Processes of this machine that carry one of the marks in environment or command line."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        # Shared ssh connections leave the tree and write over their environment, but name their socket.
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                if any(mark in told for mark in marks):
                    found.append(int(entry.name))
    return found


def leave_nothing_behind() -> None:
    """Let a SIGTERM end this program the way an exception does, with the clean-up of every ``with``."""
    signal.signal(signal.SIGTERM, lambda *_received: sys.exit(143))


class Controlled:
    """One ``ansible-playbook``, with the events that the callback ``boundaries`` writes."""

    def __init__(
        self, playbook: str, extra: dict[str, Any] | None = None, stops: list[str] | None = None, kept: str = ""
    ) -> None:
        """Start it; ``stops`` are the keys of the tasks before which it waits, ``kept`` a directory for its output."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="drill-"))
        self.mark = f"BOUNDARIES_RUN={uuid.uuid4().hex}"
        self.events_path, self.output_path = self.directory / "events", self.directory / "output"
        self.pipe = self.directory / "go"
        self.kept = kept
        self.playbook = playbook
        os.mkfifo(self.pipe)
        self.events_path.touch()
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "boundaries",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory),
            "ANSIBLE_NOCOLOR": "1",
            "BOUNDARIES_EVENTS": str(self.events_path),
            "BOUNDARIES_MODULES": MODULES.name,
            "BOUNDARIES_GO": str(self.pipe),
            "BOUNDARIES_STOP": json.dumps(stops or []),
            "BOUNDARIES_RUN": self.mark.partition("=")[2],
        }
        argv = ["ansible-playbook", "-i", "inventories/drill", playbook, "-e", json.dumps(extra or {})]
        self.began = time.time()
        with self.output_path.open("wb") as output:
            self.process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def events(self) -> list[dict[str, Any]]:
        """What happened so far; a line being written does not count yet."""
        lines = self.events_path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def wait_for_stop(self, number: int = 1) -> str:
        """Wait until it stopped for the ``number``-th time; the key of the task, empty if it ended before."""

        def settled() -> Any:
            ended = self.process.poll() is not None
            stops = [event["key"] for event in self.events() if event["event"] == "stopped"]
            return ("ended" if ended else "") if len(stops) < number else stops[number - 1]

        found = str(wait_until(f"{self.playbook} stops or ends", settled, LIMIT_S))
        return "" if found == "ended" else found

    def go(self) -> None:
        """Let it go on from where it stopped."""
        self.pipe.write_text("go")

    def kill(self) -> None:
        """SIGKILL for the controller first, then for everything that it started, wherever that went."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        marks = [self.mark.encode(), str(self.directory).encode()]

        def all_gone() -> bool:
            left = marked(marks)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        wait_until("everything of the killed run is gone", all_gone)

    def finish(self) -> int:
        """Wait for its end; returns the exit status."""
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Hung(f"{self.playbook} did not end within {LIMIT_S:.0f} s") from None
        return int(self.process.returncode)

    def output(self) -> str:
        """Everything it printed so far."""
        return self.output_path.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Keep the output if that was asked for, and clean up, connections included."""
        if self.process.poll() is None or marked([str(self.directory).encode()]):
            self.kill()
        if self.kept:
            pathlib.Path(self.kept).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.output_path, self.kept)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Controlled:
        """Use it in a ``with`` statement, so that nothing is left running."""
        return self

    def __exit__(self, *_reason: object) -> None:
        """Clean up."""
        self.close()


class Freezer:
    """Freezes what Ansible runs in a container in the middle of a change (inside/freeze.py)."""

    def __init__(self, container: str, kind: str, wanted: str) -> None:
        """Begin to watch; returns once the watch is on."""
        source = (HERE / "inside" / "freeze.py").read_text(encoding="utf-8")
        argv = ["docker", "exec", "-i", container, "python3", "-c", source, kind, wanted]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._line() != "ready":
            raise Hung(f"nothing can be watched in {container}")

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ready(self, seconds: float = 0.05) -> bool:
        """Whether there is news, awaited for a moment."""
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def frozen(self) -> bool:
        """Wait until something is frozen; False if the watch was given up."""
        return self._line() == "frozen"

    def give_up(self) -> None:
        """End the watch, for the moment that was waited for is over."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("over\n")
            self.process.stdin.flush()

    def order(self, word: str) -> None:
        """``thaw`` or ``kill`` what is frozen."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        self._line()
        self.process.wait()
