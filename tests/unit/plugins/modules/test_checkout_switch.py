"""checkout_switch for real: a whole switch with its directories, what check mode tells of it, and the ways back."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import exchange, worktree
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID, UNDO, REDO = "20261121T174500Z", "20261121T180000Z", "20261121T183000Z"
COMPONENT = "application"


class Killed(BaseException):
    """The process ends here: nothing of what follows happens."""


def git(root, *arguments):
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", **worktree.IDENTITY}
    argv = ["git", "-C", str(root), *arguments]
    return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def deploy(root, version):
    """What a pipeline does in the layout: a commit, its build and caches in place."""
    (root / "app.php").write_text(version)
    (root / "bootstrap" / "cache").mkdir(parents=True, exist_ok=True)
    (root / "bootstrap" / "cache" / ".gitignore").write_text("*\n!.gitignore\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", version)
    git(root, "tag", version)
    fill(root, version)


def fill(root, version):
    for name in ("public/build/app.js", "bootstrap/cache/config.php"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(version)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "app"
    git(tmp_path, "init", "-q", "-b", "main", "app")
    (root / ".gitignore").write_text("/public/build\n")
    deploy(root, "v1")
    deploy(root, "v2")
    return root


@pytest.fixture
def arguments(root, state_dir):
    return {
        "path": str(root),
        "commit": git(root, "rev-parse", "v1"),
        "prepared": f"{root}.rollback/{RUN_ID}-{git(root, 'rev-parse', 'v1')[:7]}",
        "directories": ["public/build", "bootstrap/cache"],
        "component": COMPONENT,
        "run_id": RUN_ID,
        "state_dir": state_dir,
    }


@pytest.fixture
def staged(root, arguments, run_module):
    """Arguments of a switch whose other tree is complete."""
    run_module("checkout_switch", {**arguments, "directories": [], "state": "prepared"})
    fill(type(root)(arguments["prepared"]), "v1")
    with open(os.path.join(arguments["prepared"], "REVISION"), "w", encoding="utf-8") as stream:
        stream.write(arguments["commit"] + "\n")
    return arguments


def reverted(arguments, by=RUN_ID, reverts=None):
    kept = {key: arguments[key] for key in ("component", "state_dir")}
    return {**kept, "run_id": by, "reverts": reverts, "state": "reverted"}


def live(root):
    """What users get: code, build, caches; and HEAD."""
    texts = [root / name for name in ("app.php", "public/build/app.js", "bootstrap/cache/config.php", ".git/HEAD")]
    return [path.read_text().strip() if path.exists() else None for path in texts]


def comparable(result):
    """A result without what only Ansible's own call adds."""
    return {key: result[key] for key in ("changed", "before", "after", "modified", "exchanged", "diff")}


def test_a_whole_switch_and_back(staged, root, run_module, untouched):
    (root / "app.php").write_text("hot fix")
    before = live(root)
    with untouched():
        predicted = run_module("checkout_switch", staged, check=True)
    switched = run_module("checkout_switch", staged)
    assert comparable(switched) == comparable(predicted)
    assert live(root) == ["v1", "v1", "v1", staged["commit"]]
    assert (switched["changed"], switched["modified"]) == (True, ["app.php"])
    assert switched["before"]["branch"] == "refs/heads/main"
    assert switched["exchanged"] == [f"{root}/public/build", f"{root}/bootstrap/cache"]
    assert "modified app.php\n" in switched["diff"]["before"]
    assert git(root, "status", "--porcelain", "--untracked-files=no") == ""
    with untouched():
        assert run_module("checkout_switch", staged, check=True)["changed"] is False
    assert run_module("checkout_switch", staged)["changed"] is False
    with untouched():
        predicted = run_module("checkout_switch", reverted(staged), check=True)
    back = run_module("checkout_switch", reverted(staged))
    assert comparable(back) == comparable(predicted)
    assert back["changed"] is True
    assert live(root) == before
    assert run_module("checkout_switch", reverted(staged))["changed"] is False
    assert live(root) == before


def test_an_undo_by_another_run_can_be_undone(staged, root, run_module, untouched):
    before = live(root)
    run_module("checkout_switch", staged)
    after = live(root)
    for by, reverts, wanted in ((UNDO, RUN_ID, before), (REDO, UNDO, after), (RUN_ID, None, before)):
        with untouched():
            predicted = run_module("checkout_switch", reverted(staged, by, reverts), check=True)
        assert comparable(run_module("checkout_switch", reverted(staged, by, reverts))) == comparable(predicted)
        assert live(root) == wanted
        assert run_module("checkout_switch", reverted(staged, by, reverts))["changed"] is False


def test_modifications_at_the_wanted_commit_are_cleaned_and_come_back(staged, root, run_module):
    git(root, "checkout", "-q", "v1")
    fill(root, "v1 broken")
    (root / "app.php").write_text("hot fix")
    before = live(root)
    assert run_module("checkout_switch", staged)["modified"] == ["app.php"]
    assert live(root) == ["v1", "v1", "v1", staged["commit"]]
    assert run_module("checkout_switch", reverted(staged))["changed"] is True
    assert live(root) == before


@pytest.mark.parametrize("change", range(3), ids=["before the files", "before the build", "before the caches"])
@pytest.mark.parametrize("then", ["again", "undo"])
def test_a_killed_switch_is_completed_or_put_back(staged, root, run_module, monkeypatch, change, then):
    before, real, done = live(root), exchange.rename, []

    def stop_at_files(*_arguments):
        raise Killed

    def stop_at_directory(*arguments):
        done.append(arguments)
        if len(done) == change:
            raise Killed
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "failed", lambda *_: None)
        if change == 0:
            patch.setattr(worktree.Tree, "move", stop_at_files)
        else:
            patch.setattr(exchange, "rename", stop_at_directory)
        with pytest.raises(Killed):
            run_module("checkout_switch", staged)
    assert live(root) != ["v1", "v1", "v1", staged["commit"]]
    assert run_module("checkout_switch", staged if then == "again" else reverted(staged))["changed"] is (
        change > 0 or then == "again"
    )
    assert live(root) == (["v1", "v1", "v1", staged["commit"]] if then == "again" else before)
    run_module("checkout_switch", reverted(staged))
    assert live(root) == before


def test_preparing_makes_a_complete_tree_in_a_place_of_its_own(root, arguments, run_module, untouched):
    wanted = {**arguments, "directories": [], "state": "prepared"}
    with untouched():
        assert run_module("checkout_switch", wanted, check=True)["changed"] is True
    before = live(root)
    run_module("checkout_switch", wanted)
    assert live(root) == before
    with open(os.path.join(arguments["prepared"], "app.php"), encoding="utf-8") as stream:
        assert stream.read() == "v1"
    parent = os.stat(os.path.dirname(arguments["prepared"]))
    assert (parent.st_uid, parent.st_gid) == (os.stat(root).st_uid, os.stat(root).st_gid)
    assert "is taken" in run_module("checkout_switch", wanted, fails=True)["msg"]


def test_a_file_system_that_cannot_exchange_is_found_out_when_preparing(arguments, run_module, monkeypatch):
    class Libc:
        @staticmethod
        def renameat2(*_argv):
            exchange.ctypes.set_errno(errno.EINVAL)
            return -1

    monkeypatch.setattr(exchange.ctypes, "CDLL", lambda *_, **__: Libc)
    wanted = {**arguments, "directories": [], "state": "prepared"}
    assert "cannot be exchanged in one step" in run_module("checkout_switch", wanted, fails=True)["msg"]
    assert not os.path.exists(arguments["prepared"])


@pytest.mark.parametrize("wrong", [{"commit": "1" * 40}, {"prepared": "{tmp}/none"}, {"path": "{tmp}"}])
@pytest.mark.parametrize("check", [True, False])
def test_what_cannot_be_done_is_refused_in_both_modes(staged, root, run_module, wrong, check, tmp_path):
    wrong = {key: value.replace("{tmp}", str(tmp_path)) for key, value in wrong.items()}
    before = live(root)
    run_module("checkout_switch", {**staged, **wrong}, check=check, fails=True)
    assert live(root) == before


def look(run_module, arguments, run_id=RUN_ID):
    given = {key: arguments[key] for key in ("path", "commit", "state_dir")}
    return run_module("release_info", {**given, "layout": "checkout", "run_id": run_id})


def test_release_info_finds_what_the_run_prepared_until_the_switch_is_over(staged, root, run_module, untouched):
    (root / "app.php").write_text("hot fix")
    with untouched():
        found = look(run_module, staged)
    assert (found["link"], found["current"]["path"], found["current"]["version"]) == (str(root), str(root), "v2")
    assert (found["fresh"], found["target"]["path"], found["target"]["version"]) == (staged["prepared"],) * 2 + ("v1",)
    assert (found["modified"], found["commit_present"]) == (["app.php"], True)
    assert found["target"]["build_digest"] != found["current"]["build_digest"]
    run_module("checkout_switch", staged)
    again = look(run_module, staged)
    assert found["target"]["build"] == f"{staged['prepared']}/public/build"
    there = {**found["target"], "build": f"{root}/public/build"}
    assert again["target"] == there, "the build is looked for where it was and not where it is"
    assert again["current"]["build_digest"] == found["target"]["build_digest"]


def test_what_another_run_prepared_is_not_taken(staged, root, run_module):
    assert look(run_module, staged, UNDO)["target"] == {}
    run_module("checkout_switch", staged)
    assert look(run_module, staged, UNDO)["target"]["path"] == str(root)
    (root / "app.php").write_text("hot fix")
    assert look(run_module, staged, UNDO)["target"] == {}
    assert look(run_module, {**staged, "commit": "1" * 40}, UNDO)["commit_present"] is False
