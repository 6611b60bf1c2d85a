"""artisan with an environment that is lent for the time of its commands, and what its commands may leave readable."""

from __future__ import annotations

import os
import pwd

import pytest
from ansible.module_utils.basic import AnsibleModule

RUN_ID = "20261121T174500Z"
CANARY = "canary-7f3a"
#: Only root may give a file away.
OWNER = pwd.getpwuid(65534 if os.geteuid() == 0 else os.geteuid())


@pytest.fixture
def environment(tmp_path):
    path = tmp_path / "kept" / "copy.env"
    path.parent.mkdir()
    path.write_bytes(f"DB_PASSWORD={CANARY}\xff\n".encode("latin-1"))
    path.chmod(0o600)
    return path


@pytest.fixture
def release(tmp_path):
    path = tmp_path / "release"
    path.mkdir()
    (path / ".env").write_text("APP_ENV=live\n")
    return path


@pytest.fixture
def arguments(release, environment, state_dir):
    return {
        "path": str(release),
        "user": OWNER.pw_name,
        "commands": ["config:cache", "route:cache"],
        "environment": str(environment),
        "run_id": RUN_ID,
        "state_dir": state_dir,
    }


@pytest.fixture
def executed(release, monkeypatch):
    """What ran: the command as artisan gets it, its other options, and the lent file that it found."""
    borrowed = release / ".env.rollback"

    def run_command(_self, argv, **options):
        found = (borrowed.read_bytes(), borrowed.stat()) if borrowed.exists() else (None, None)
        run_command.calls.append((argv[argv.index("artisan") + 1 :], options, *found))
        if isinstance(run_command.answer, BaseException):
            raise run_command.answer
        return run_command.answer

    run_command.calls, run_command.answer = [], (0, "", "")
    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    return run_command


def test_every_command_finds_the_lent_environment_and_nobody_else_may_read_it(
    arguments, environment, release, executed, run_module
):
    result = run_module("artisan", arguments)
    assert (result["changed"], result["commands"]) == (True, arguments["commands"])
    assert [call[0] for call in executed.calls] == [
        ["config:cache", "--env=rollback", "--no-interaction"],
        ["route:cache", "--env=rollback", "--no-interaction"],
    ]
    for _command, _options, text, status in executed.calls:
        assert text == environment.read_bytes()
        assert status.st_mode & 0o7777 == 0o400
        assert (status.st_uid, status.st_gid) == (OWNER.pw_uid, OWNER.pw_gid)
    assert os.listdir(release) == [".env"], "it was lent, not given"
    assert (release / ".env").read_text() == "APP_ENV=live\n"


@pytest.mark.parametrize("lent", [True, False], ids=["lent", "live"])
def test_a_configuration_cache_is_not_for_everybody_to_read(arguments, executed, run_module, lent):
    if not lent:
        del arguments["environment"]
    run_module("artisan", arguments)
    assert [call[1] for call in executed.calls] == [{"cwd": arguments["path"], "umask": 0o027}] * 2


def test_without_one_nothing_is_lent(arguments, release, executed, run_module):
    del arguments["environment"]
    run_module("artisan", arguments)
    assert [(call[0], call[2]) for call in executed.calls] == [
        (["config:cache", "--no-interaction"], None),
        (["route:cache", "--no-interaction"], None),
    ]
    assert os.listdir(release) == [".env"]


def test_it_is_taken_back_when_a_command_fails(arguments, release, executed, run_module):
    executed.answer = (1, "", f"Unexpected whitespace at [{CANARY}].\n")
    message = run_module("artisan", arguments, fails=True)["msg"]
    assert "artisan failed" in message
    assert CANARY not in message
    assert len(executed.calls) == 1
    assert executed.calls[0][2] is not None
    assert os.listdir(release) == [".env"]


def test_it_is_taken_back_when_the_module_is_interrupted(arguments, release, executed, run_module):
    executed.answer = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_module("artisan", arguments)
    assert executed.calls[0][2] is not None
    assert os.listdir(release) == [".env"]


def test_what_a_killed_run_left_lent_is_replaced_and_taken_back(arguments, environment, release, executed, run_module):
    (release / ".env.rollback").write_text("DB_PASSWORD=of another run\n")
    (release / ".env.rollback").chmod(0o644)
    run_module("artisan", arguments)
    assert executed.calls[0][2] == environment.read_bytes()
    assert executed.calls[0][3].st_mode & 0o7777 == 0o400
    assert os.listdir(release) == [".env"]


def test_check_mode_lends_nothing(arguments, executed, run_module, untouched):
    with untouched():
        assert run_module("artisan", arguments, check=True)["changed"] is True
        assert run_module("artisan", {**arguments, "commands": []})["changed"] is False
    assert executed.calls == []
