"""Fixtures of the unit tests: a state directory, a journal, and modules run as Ansible runs them."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pathlib
import subprocess

import hypothesis
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

# How long an example takes says something about the machine, nothing about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

RUN_ID = "20261121T174500Z"


@pytest.fixture
def state_dir(tmp_path):
    return str(tmp_path / "state")


@pytest.fixture
def journal(state_dir):
    return Journal(RUN_ID, state_dir)


@pytest.fixture(scope="session")
def monitoring_tools():
    """Directory of the real Prometheus, Alertmanager and node_exporter with promtool and amtool."""
    unpack = pathlib.Path(__file__).parents[1] / "unpack-monitoring"
    return pathlib.Path(subprocess.run([unpack], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


@pytest.fixture
def durability(monkeypatch):
    """Order of what reached the disk: ``("fsync", path)`` and ``("rename", from, to)``."""
    events = []
    fsync, rename = os.fsync, os.rename

    def recorded_fsync(descriptor):
        events.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def recorded_rename(source, destination):
        events.append(("rename", str(source), str(destination)))
        rename(source, destination)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "rename", recorded_rename)
    return events


@pytest.fixture
def run_module():
    """Run a module's ``main()``; returns its result, and raises AssertionError if it fails without ``fails=True``."""

    def run(name, arguments, check=False, fails=False):
        module = importlib.import_module(f"ansible_collections.campaign.rollback.plugins.modules.{name}")
        output = io.StringIO()
        given = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(given), contextlib.redirect_stdout(output), pytest.raises(SystemExit) as ended:
            module.main()
        result = json.loads(output.getvalue())
        assert bool(ended.value.code) == bool(result.get("failed")) == fails, result
        return result

    return run


def snapshot(root):
    """Every path below ``root`` with its kind, mode and content, to show that nothing was touched."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as stream:
                    content = stream.read()
            else:
                content = None
            found[os.path.relpath(path, root)] = (status.st_mode, status.st_ino, content)
    return found


@pytest.fixture
def untouched(tmp_path):
    """Context manager that fails if anything below the test's directory changes meanwhile."""

    @contextlib.contextmanager
    def guard():
        before = snapshot(tmp_path)
        yield
        assert snapshot(tmp_path) == before

    return guard
