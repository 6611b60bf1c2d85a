"""A live working tree is brought to a commit exactly, killed anywhere and called again, and comes back as it was."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import worktree
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.worktree import Tree

COMPONENT = "application"
UNDO, REDO = "20261121T180000Z", "20261121T183000Z"
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    **worktree.IDENTITY,
}
#: Two commits whose files differ in every way that files can: also a file where the other has a directory.
OLD = {"app.php": "v1", "same.php": "same", "only/v1.php": "v1", "kind": "a file", "way/deep.php": "v1", "now": "old"}
NEW = {"app.php": "v2", "same.php": "same", "only/v2.php": "v2", "kind/of.php": "v2", "mine.php": "v2", "now": "new"}


class Killed(BaseException):
    """The process ends here: nothing of what follows happens."""


def git(root, *arguments):
    argv = ["git", "-C", str(root), *arguments]
    return subprocess.run(argv, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout.strip()


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def commit(root, files):
    git(root, "rm", "-rfq", "--ignore-unmatch", ".")
    write(root, files)
    git(root, "add", "--force", ".")
    git(root, "commit", "-qm", "x")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path):
    """A tree on branch main at the newer commit, with untracked files, one of them where the older has a directory."""
    root = tmp_path / "app"
    git(tmp_path, "init", "-q", "-b", "main", "app")
    commit(root, OLD)
    commit(root, NEW)
    (root / "same.php").chmod(0o755)
    git(root, "commit", "-qam", "executable")
    write(
        root, {"public/build/app.js": "v2", ".env": "SECRET", "way": "untracked, in the way", "only/mine.txt": "mine"}
    )
    return root


@pytest.fixture
def old(root):
    return git(root, "rev-list", "--max-parents=0", "HEAD")


def files(root):
    """Content and kind of every file outside of the repository."""
    found = {}
    for directory, names, others in os.walk(root):
        names[:] = [name for name in names if name != ".git"]
        for name in others + [name for name in names if os.path.islink(os.path.join(directory, name))]:
            path = os.path.join(directory, name)
            link = os.path.islink(path)
            with open(os.devnull if link else path, encoding="utf-8") as stream:
                content = os.readlink(path) if link else stream.read()
            found[os.path.relpath(path, root)] = (content, link or os.access(path, os.X_OK))
    return found


def state(root):
    """All that an undo has to bring back."""
    head = (root / ".git" / "HEAD").read_text().strip()
    return files(root), head, git(root, "ls-files", "--stage"), git(root, "for-each-ref", "refs/heads")


def dirty(root):
    """Change the tree in every way that git tells apart."""
    write(root, {"app.php": "edited", "only/v2.php": "edited and staged"})
    git(root, "add", "only/v2.php")
    write(root, {"only/v2.php": "edited again", "fresh.php": "staged only"})
    git(root, "add", "fresh.php")
    (root / "now").unlink()
    (root / "mine.php").unlink()
    (root / "mine.php").symlink_to("app.php")
    git(root, "update-index", "--assume-unchanged", "same.php")
    write(root, {"same.php": "edited where git was told not to look"})


def switch(journal, root, commit, kept=()):
    worktree.switch(journal, COMPONENT, Tree(str(root), kept), commit)


def undo(journal, by=None):
    for step in journal.to_undo(COMPONENT):
        worktree.put_back(journal, by or journal, step)


def test_the_tree_is_at_the_commit_exactly_and_untracked_files_stay(root, old, journal):
    dirty(root)
    switch(journal, root, old)
    wanted = {name: (text, False) for name, text in OLD.items()}
    untracked = {".env": "SECRET", "public/build/app.js": "v2", "only/mine.txt": "mine"}
    assert files(root) == {**wanted, **{name: (text, False) for name, text in untracked.items()}}
    assert git(root, "rev-parse", "HEAD") == old
    assert git(root, "status", "--porcelain", "--untracked-files=no") == ""
    assert not os.path.exists(root / "kind" / "of.php")
    assert Tree(str(root)).is_at(old)


@pytest.mark.parametrize("change", [lambda _root: None, dirty], ids=["clean", "dirty"])
@pytest.mark.parametrize("branch", [True, False], ids=["on a branch", "detached"])
def test_undo_brings_everything_back(root, old, journal, change, branch):
    if not branch:
        git(root, "checkout", "-q", "--detach")
    change(root)
    before = state(root)
    switch(journal, root, old)
    assert state(root)[3] == before[3], "a branch was moved"
    undo(journal)
    assert state(root) == before
    undo(journal)
    assert state(root) == before


def test_an_undo_by_another_run_can_be_undone(root, old, journal, state_dir):
    dirty(root)
    before = state(root)
    switch(journal, root, old)
    write(root, {"app.php": "edited after the rollback"})
    after = state(root)
    undo(journal, Journal(UNDO, state_dir))
    assert state(root) == before
    undo(Journal(UNDO, state_dir), Journal(REDO, state_dir))
    assert state(root) == after
    undo(journal)
    assert state(root) == before


def test_what_was_there_is_kept_as_a_commit(root, old, journal):
    dirty(root)
    switch(journal, root, old)
    (kept,) = git(root, "for-each-ref", "--format=%(refname)", f"refs/rollback/kept/{journal.run_id}/").splitlines()
    assert git(root, "show", f"{kept}:app.php") == "edited"
    assert git(root, "show", f"{kept}:way") == "untracked, in the way"
    assert git(root, "show", f"{kept}:same.php") == "edited where git was told not to look"
    assert git(root, "show", f"{kept}^2:fresh.php") == "staged only"
    assert git(root, "ls-tree", kept, "now", ".env") == "", "what was deleted or untracked is not in it"


def test_what_was_changed_after_the_rollback_is_kept_when_it_is_undone(root, old, journal):
    switch(journal, root, old)
    write(root, {"app.php": "hot fix"})
    undo(journal)
    kept = git(root, "for-each-ref", "--format=%(refname)", f"refs/rollback/kept/{journal.run_id}/").splitlines()
    assert "hot fix" in [git(root, "show", f"{name}:app.php") for name in kept]


def test_a_tree_that_is_there_already_is_left_alone(root, journal, untouched):
    with untouched():
        switch(journal, root, git(root, "rev-parse", "HEAD"))
        assert Tree(str(root)).modified() == []
    assert journal.steps() == []


def test_a_tree_at_the_commit_is_cleaned_and_stays_on_its_branch(root, journal):
    dirty(root)
    before = state(root)
    switch(journal, root, git(root, "rev-parse", "HEAD"))
    assert (root / ".git" / "HEAD").read_text() == "ref: refs/heads/main\n"
    assert git(root, "status", "--porcelain", "--untracked-files=no") == ""
    undo(journal)
    assert state(root) == before


def test_what_is_only_in_the_index_counts_too(root, journal):
    write(root, {"app.php": "staged"})
    git(root, "add", "app.php")
    write(root, {"app.php": "v2"})
    before = state(root)
    assert Tree(str(root)).modified() == ["app.php"]
    switch(journal, root, git(root, "rev-parse", "HEAD"))
    assert git(root, "status", "--porcelain", "--untracked-files=no") == ""
    undo(journal)
    assert state(root) == before


def test_repeating_changes_nothing(root, old, journal):
    dirty(root)
    switch(journal, root, old)
    after = state(root)
    switch(journal, root, old)
    assert (state(root), len(journal.steps())) == (after, 1)


def test_modifications_are_told_whatever_git_was_told(root):
    dirty(root)
    told = ["app.php", "fresh.php", "mine.php", "now", "only/v2.php", "same.php"]
    assert Tree(str(root)).modified() == told


@pytest.fixture
def linked(root, tmp_path):
    """A directory that commits track is a link to a shared one, as Laravel's storage is."""
    shared = tmp_path / "shared"
    write(shared, {"logs.txt": "shared"})
    write(root, {"storage/logs.txt": "v3", "storage/.gitignore": "*"})
    git(root, "add", "--force", "storage")
    git(root, "commit", "-qm", "storage")
    write(root, {"storage/logs.txt": "v4"})
    git(root, "commit", "-qam", "storage again")
    git(root, "rm", "-rq", "--cached", "storage")
    git(root, "reset", "-q")
    for name in ("logs.txt", ".gitignore"):
        (root / "storage" / name).unlink()
    (root / "storage").rmdir()
    (root / "storage").symlink_to(shared)
    return root


@pytest.mark.parametrize("target", ["HEAD~1", "HEAD~2"], ids=["tracked there too", "not tracked there"])
def test_a_shared_link_is_neither_looked_at_nor_replaced(linked, journal, target, tmp_path):
    before = state(linked)
    assert Tree(str(linked), ["storage"]).modified() == []
    switch(journal, linked, git(linked, "rev-parse", target), ["storage"])
    assert (linked / "storage").is_symlink()
    assert (tmp_path / "shared" / "logs.txt").read_text() == "shared"
    assert git(linked, "rev-parse", "HEAD:storage", "--") if target == "HEAD~1" else True
    undo(journal)
    assert state(linked) == before


#: Calls of git that change the tree or the repository, or lie between such changes.
CHANGING = {"update-ref", "symbolic-ref", "rm", "read-tree", "checkout-index"}


def kill(monkeypatch, last):
    """Let git do its first ``last`` changing calls, half of the next one if it is given paths, and nothing more."""
    asked, real = [], Tree.git

    def counted(self, *arguments, index="", given="", **options):
        inside = not index or index.startswith(self.directory)
        asked.extend(arguments[:1] if arguments[0] in CHANGING and inside else [])
        if len(asked) > last:
            paths = given.split("\0")
            if len(paths) > 1:
                real(self, *arguments, index=index, given="\0".join(paths[: len(paths) // 2]), **options)
            raise Killed
        return real(self, *arguments, index=index, given=given, **options)

    monkeypatch.setattr(Tree, "git", counted)
    # A killed process writes no line that it failed.
    monkeypatch.setattr(Journal, "failed", lambda *_: None)


def killed_everywhere(monkeypatch, act, prepare, examine):
    """``prepare``, ``act`` killed at its first, second, ... change, then ``examine``, until it is not killed."""
    last, ended = 0, False
    while not ended:
        prepare()
        with monkeypatch.context() as patch:
            kill(patch, last)
            try:
                act()
                ended = True
            except Killed:
                last += 1
        examine()
    assert last >= 7


def test_a_killed_switch_is_completed_or_undone_wherever_it_was_killed(root, old, state_dir, monkeypatch, tmp_path):
    dirty(root)
    before, journals = state(root), []

    def prepare():
        assert state(root) == before
        journals.append(Journal(f"20261121T17{len(journals):04d}Z", state_dir))

    def examine():
        switch(journals[-1], root, old)
        assert Tree(str(root)).is_at(old)
        assert files(root)["way/deep.php"] == ("v1", False)
        assert not os.path.exists(root / ".git" / "rollback.index")
        undo(journals[-1])

    killed_everywhere(monkeypatch, lambda: switch(journals[-1], root, old), prepare, examine)
    assert state(root) == before


def test_a_killed_switch_can_be_undone_at_once(root, old, state_dir, monkeypatch):
    dirty(root)
    before, journals = state(root), []

    def prepare():
        journals.append(Journal(f"20261121T17{len(journals):04d}Z", state_dir))

    def examine():
        undo(journals[-1])
        assert state(root) == before

    killed_everywhere(monkeypatch, lambda: switch(journals[-1], root, old), prepare, examine)


@pytest.mark.parametrize("other", [False, True], ids=["its own undo", "another run's"])
def test_a_killed_undo_is_completed_wherever_it_was_killed(root, old, state_dir, monkeypatch, other):
    dirty(root)
    before, journals = state(root), []

    def prepare():
        number = len(journals)
        journal = Journal(f"20261121T17{number:04d}Z", state_dir)
        journals.append((journal, Journal(f"20261121T18{number:04d}Z", state_dir) if other else journal))
        switch(journal, root, old)
        write(root, {"app.php": "hot fix"})

    def examine():
        undo(*journals[-1])
        assert state(root) == before
        journal, by = journals[-1]
        kept = git(root, "for-each-ref", "--format=%(refname)", f"refs/rollback/kept/{by.run_id}/").splitlines()
        assert "hot fix" in [git(root, "show", f"{name}:app.php") for name in kept]
        if other:
            undo(by, Journal(by.run_id.replace("T18", "T19"), state_dir))
            assert files(root)["app.php"] == ("hot fix", False)
            undo(journal)
            assert state(root) == before

    killed_everywhere(monkeypatch, lambda: undo(*journals[-1]), prepare, examine)


def test_the_way_back_is_on_record_and_kept_before_a_file_changes(root, old, journal, monkeypatch):
    found = []

    def move(_self, place, leaving):
        (step,) = journal.steps()
        found.append((step.state, [step.undo["place"]["tree"]] == leaving, git(root, "cat-file", "-t", leaving[0])))

    monkeypatch.setattr(Tree, "move", move)
    before = state(root)
    switch(journal, root, old)
    assert found == [("begin", True, "commit")]
    assert state(root) == before


def test_a_branch_that_has_moved_since_stays_where_it_is(root, old, journal):
    before = git(root, "rev-parse", "HEAD")
    switch(journal, root, old)
    git(root, "update-ref", "refs/heads/main", old)
    undo(journal)
    assert git(root, "rev-parse", "HEAD", "main").split() == [before, old]
    assert git(root, "status", "--porcelain", "--untracked-files=no") == ""


def test_locks_of_a_killed_switch_are_not_in_the_way(root, old, journal):
    for name in ("HEAD.lock", "rollback.index.lock", "rollback.index"):
        (root / ".git" / name).touch()
    switch(journal, root, old)
    assert Tree(str(root)).is_at(old)


@pytest.mark.parametrize("wrong", ["index.lock", "merge", "commit", "no repository"])
def test_what_cannot_be_done_is_refused_before_anything_changes(root, old, journal, wrong, tmp_path, untouched):
    commit_id, place = old, root
    if wrong.endswith(".lock"):
        (root / ".git" / wrong).touch()
    elif wrong == "merge":
        git(root, "checkout", "-q", "--force", "-b", "side")
        write(root, {"app.php": "side"})
        git(root, "commit", "-qam", "side")
        git(root, "checkout", "-q", "main")
        write(root, {"app.php": "main"})
        git(root, "commit", "-qam", "main")
        with pytest.raises(subprocess.CalledProcessError):
            git(root, "merge", "side")
    elif wrong == "commit":
        commit_id = "1" * 40
    else:
        place = tmp_path / "shared"
        place.mkdir()
    with untouched(), pytest.raises(RollbackError, match="middle of a merge" if wrong == "merge" else None):
        switch(journal, place, commit_id)
    assert journal.steps() == []


@pytest.fixture
def reachable(root):
    """The tree where any user can get at it, and if possible another user's."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        shutil.move(str(root), directory)
        found = pathlib.Path(directory) / root.name
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "65534:12345", str(found)], check=True)
        yield found


def test_git_runs_nothing_of_the_repository_and_leaves_files_to_its_owner(reachable, journal):
    marker, old = reachable / "marker", git(reachable, "rev-list", "--max-parents=0", "HEAD")
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        hook = reachable / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
        hook.chmod(0o755)
    reachable.chmod(0o750)
    switch(journal, reachable, old)
    assert not marker.exists()
    owner = os.stat(reachable)
    for path in ("app.php", "only/v1.php", ".git/index", ".git/HEAD", "way"):
        status = os.stat(reachable / path)
        assert (status.st_uid, status.st_gid) == (owner.st_uid, owner.st_gid), path
    assert os.stat(reachable / "app.php").st_mode & 0o777 == 0o640
