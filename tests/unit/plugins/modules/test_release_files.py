"""release_files with a real repository: history kept, the same commit everywhere, nothing live is touched."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

RUN_ID = "20261121T174500Z"
OLD = {"app/Client.php": "good", "app/Other.php": "one", "bin/run": "#!", "gone.php": "old", "lib/link": "-> run"}
NEW = {"app/Client.php": "bad", "app/Other.php": "two", "bin/run": "#!", "app/Added.php": "new", "lib/link": "-> x"}
FILES = ["app/Client.php", "app/Added.php", "gone.php", "lib", "bin/*"]


def git(directory, *argv):
    identity = {f"GIT_{role}_{part}": "x" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": "2025-10-01T09:00:00+0000", "GIT_COMMITTER_DATE": "2025-10-01T09:00:00+0000"}
    environment = {**os.environ, **identity, **dates, "GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(["git", *argv], cwd=directory, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(directory, files):
    for name, text in files.items():
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            place.unlink(missing_ok=True)
            place.symlink_to(text[3:])
        else:
            place.write_text(text)
            place.chmod(0o750 if name.startswith("bin/") else 0o640)


def host(root):
    """A host with a repository of two commits and the newer one live; returns both commits."""
    work = root / "work"
    commits = []
    for files in (OLD, NEW):
        if work.exists():
            git(work, "rm", "-rq", ".")
        write(work, files)
        git(root, "init", "-q", str(work)) if not (work / ".git").exists() else None
        git(work, "add", "--all")
        git(work, "commit", "-qm", "release")
        commits.append(git(work, "rev-parse", "HEAD"))
    git(root, "clone", "-q", "--bare", str(work), str(root / "srv" / "repo.git"))
    live = root / "srv" / "releases" / "live"
    write(live, {**NEW, "RELEASE.json": json.dumps({"commit": commits[1], "version": "v2"}), ".env": "-> ../shared"})
    write(live, {"REVISION": commits[1] + "\n"})
    (root / "srv" / "current").symlink_to("releases/live")
    return commits


@pytest.fixture
def arguments(tmp_path, tmp_path_factory):
    old, _new = host(tmp_path)
    return {
        "run_id": RUN_ID,
        "state_dir": str(tmp_path_factory.mktemp("state")),
        "path": str(tmp_path / "srv"),
        "repository": str(tmp_path / "srv" / "repo.git"),
        "commit": old,
        "files": FILES,
        "what": "function whatsapp",
    }


def test_the_files_come_back_in_a_new_release_and_history_is_kept(arguments, run_module, untouched, tmp_path):
    repository, live = tmp_path / "srv" / "repo.git", tmp_path / "srv" / "releases" / "live"
    head = git(repository, "rev-parse", "HEAD")
    with untouched():
        predicted = run_module("release_files", arguments, check=True)
    before = {path: path.read_bytes() for path in live.rglob("*") if path.is_file()}
    made = run_module("release_files", arguments)
    assert made == predicted
    assert made["changed"] is True
    assert made["files"] == ["app/Added.php", "app/Client.php", "gone.php", "lib/link"]
    assert {path: path.read_bytes() for path in live.rglob("*") if path.is_file()} == before, "live is not touched"
    assert os.readlink(tmp_path / "srv" / "current") == "releases/live"
    new = tmp_path / "srv" / "releases" / f"{RUN_ID}-{made['commit'][:7]}"
    assert made["release"] == str(new)
    content = {
        str(path.relative_to(new)): "-> " + os.readlink(path) if path.is_symlink() else path.read_text()
        for path in new.rglob("*")
        if path.is_symlink() or path.is_file()
    }
    assert json.loads(content.pop("RELEASE.json")) == {"commit": made["commit"], "version": "v2"}
    assert content == {
        **{name: OLD[name] for name in ("app/Client.php", "gone.php", "bin/run", "lib/link")},
        "app/Other.php": "two",
        ".env": "-> ../shared",
        "REVISION": made["commit"] + "\n",
    }
    assert (new / "app" / "Client.php").stat().st_mode & 0o777 == 0o640
    assert (new / "bin" / "run").stat().st_mode & 0o777 == 0o750
    assert git(repository, "rev-parse", f"refs/rollback/{RUN_ID}") == made["commit"]
    assert git(repository, "rev-parse", f"{made['commit']}^") == git(repository, "rev-parse", "HEAD") == head
    said = git(repository, "log", "-1", "--format=%an %cn %cI%n%B", made["commit"])
    assert said.startswith("rollback rollback 2026-11-21T17:45:00")
    assert "Roll back function whatsapp" in said
    assert f"rollback run {RUN_ID}" in said
    changed = git(repository, "diff", "--name-only", f"{made['commit']}^", made["commit"]).split()
    assert changed == made["files"], "and nothing else"
    assert git(repository, "fsck", "--strict") == ""
    assert run_module("release_files", arguments)["changed"] is False


def test_every_host_makes_the_same_commit(arguments, run_module, tmp_path):
    (tmp_path / "other").mkdir()
    host(tmp_path / "other")
    other = {
        **arguments,
        "path": str(tmp_path / "other" / "srv"),
        "repository": str(tmp_path / "other" / "srv" / "repo.git"),
    }
    assert run_module("release_files", arguments)["commit"] == run_module("release_files", other)["commit"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_the_repository_stays_its_owners(arguments, run_module, tmp_path):
    for path in [tmp_path, *tmp_path.parents]:
        path.chmod(path.stat().st_mode | 0o055) if path.stat().st_uid == 0 and path != path.parent else None
    repository = tmp_path / "srv" / "repo.git"
    for path in [repository, *repository.rglob("*")]:
        os.chown(path, 65534, 65534)
    run_module("release_files", arguments)
    assert {path.stat().st_uid for path in repository.rglob("*")} == {65534}, "or its user could fetch no more"


def test_what_was_edited_on_the_host_is_restored_too(arguments, run_module, tmp_path):
    arguments["files"] = ["bin/run"]
    assert run_module("release_files", arguments, check=True)["files"] == []
    (tmp_path / "srv" / "releases" / "live" / "bin" / "run").write_text("edited")
    made = run_module("release_files", arguments)
    assert made["files"] == ["bin/run"]
    assert (tmp_path / "srv" / "releases" / os.path.basename(made["release"]) / "bin" / "run").read_text() == "#!"


def test_an_interrupted_attempt_is_made_anew(arguments, run_module, tmp_path, monkeypatch):
    from ansible_collections.campaign.rollback.plugins.module_utils import release_files

    class Killed(BaseException):
        pass

    def kill(*_arguments):
        raise Killed

    monkeypatch.setattr(release_files, "details_of", kill)
    with pytest.raises(Killed):
        run_module("release_files", arguments)
    (left,) = (path for path in (tmp_path / "srv" / "releases").iterdir() if path.name.startswith(RUN_ID))
    assert not (left / "REVISION").exists(), "no one takes it for a release"
    monkeypatch.undo()
    made = run_module("release_files", arguments)
    assert (left / "REVISION").read_text() == made["commit"] + "\n"
    assert (left / "app" / "Client.php").read_text() == "good"


def test_after_its_own_switch_a_repeated_run_finds_itself_done(arguments, run_module, tmp_path):
    made = run_module("release_files", arguments)
    (tmp_path / "srv" / "current").unlink()
    (tmp_path / "srv" / "current").symlink_to(made["release"])
    again = run_module("release_files", arguments)
    assert (again["changed"], again["files"]) == (False, [])
    assert (again["commit"], again["release"]) == (made["commit"], made["release"])
    (tmp_path / "srv" / "current" / "app" / "Client.php").write_text("edited since")
    assert run_module("release_files", arguments, check=True)["files"] == ["app/Client.php"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"files": ["app/Client.php", "nothing/**"]}, "No file answers to this pattern.*Found: nothing/**"),
        ({"spared": ["app/*nt.php"]}, "a function uses too that works.*Found: app/Client.php"),
        ({"commit": "0" * 40}, "git failed"),
        ({"repository": "/nowhere"}, "There is no repository"),
        ({"run_id": "../x"}, "run id"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    arguments, run_module, untouched, check, wrong, message
):
    with untouched():
        said = run_module("release_files", {**arguments, **wrong}, check=check, fails=True)["msg"]
    assert all(part in said for part in message.split(".*"))


def test_a_file_that_stays_as_it_is_may_belong_to_others(arguments, run_module):
    assert "bin/run" not in run_module("release_files", {**arguments, "spared": ["bin/*"]}, check=True)["files"]


def test_a_file_that_releases_share_is_refused(arguments, run_module, untouched, tmp_path):
    live = tmp_path / "srv" / "releases" / "live"
    for path in (live / "app").iterdir():
        path.unlink()
    (live / "app").rmdir()
    (live / "app").symlink_to("../../shared")
    with untouched():
        assert "behind a link that releases share" in run_module("release_files", arguments, fails=True)["msg"]


@pytest.fixture
def tree(arguments, tmp_path):
    """Arguments for the same host in the layout of one working tree, and that tree."""
    work = tmp_path / "work"
    return {**arguments, "path": str(work), "repository": str(work / ".git"), "layout": "checkout"}, work


def switched(given, made):
    return {
        "run_id": RUN_ID,
        "state_dir": given["state_dir"],
        "path": given["path"],
        "prepared": given["path"],
        "commit": made["commit"],
        "files": made["files"],
        "component": "application",
    }


def text(work):
    return {name: (work / name).read_text() for name in OLD | NEW if (work / name).is_file()}


def test_in_a_working_tree_only_the_files_change_and_come_back(tree, run_module, untouched, tmp_path):
    given, work = tree
    head = git(work, "rev-parse", "HEAD")
    (work / "app" / "Other.php").write_text("edited here")
    (work / "app" / "Client.php").write_text("edited and broken")
    (work / "untracked").write_text("stays")
    before = text(work)
    with untouched():
        predicted = run_module("release_files", given, check=True)
    made = run_module("release_files", given)
    assert (made["commit"], made["files"]) == (predicted["commit"], predicted["files"])
    assert made["release"] == made["live"] == made["link"] == str(work)
    assert text(work) == before, "nothing goes live"
    switch = switched(given, made)
    foreseen = run_module("checkout_switch", switch, check=True)
    done = run_module("checkout_switch", switch)
    assert (done["changed"], done["modified"]) == (True, ["app/Client.php"]) == (True, foreseen["modified"])
    assert git(work, "rev-parse", "HEAD") == made["commit"] != head
    assert git(work, "rev-parse", "HEAD^") == head
    assert (work / "app" / "Client.php").read_text() == "good"
    assert (work / "app" / "Other.php").read_text() == "edited here", "what was not declared stays, edited or not"
    assert (work / "untracked").read_text() == "stays"
    assert not (work / "app" / "Added.php").exists()
    assert git(work, "status", "--porcelain") == "M app/Other.php\n?? untracked"
    after = run_module("release_files", given, check=True)
    assert (after["files"], after["is_live"], after["made"]) == ([], True, True)
    assert run_module("checkout_switch", switch)["changed"] is False
    run_module(
        "checkout_switch", {**{key: switch[key] for key in ("run_id", "state_dir", "component")}, "state": "reverted"}
    )
    assert (git(work, "rev-parse", "HEAD"), text(work)) == (head, before)
    assert git(work, "symbolic-ref", "HEAD").startswith("refs/heads/")


def test_a_switch_that_was_killed_before_its_commit_went_live_is_not_done(tree, run_module):
    given, work = tree
    made = run_module("release_files", given)
    for name in ("app/Client.php", "gone.php"):
        (work / name).write_text(OLD[name])
    (work / "app" / "Added.php").unlink()
    (work / "lib" / "link").unlink()
    (work / "lib" / "link").symlink_to("run")
    again = run_module("release_files", given, check=True)
    assert (again["files"], again["made"], again["is_live"], again["commit"]) == ([], True, False, made["commit"])
    assert run_module("checkout_switch", switched(given, again))["changed"] is True
    assert git(work, "rev-parse", "HEAD") == made["commit"]
    assert git(work, "status", "--porcelain") == ""
