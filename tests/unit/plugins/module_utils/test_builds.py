"""Front-end builds on disk: what identifies one, which one is taken, and what it carries for open pages."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import builds
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import tree_digest

COMMIT = "1" * 40


def make(path, version, where="manifest.json"):
    """A build as Vite makes it: a manifest and assets with a hash in their names."""
    (path / "assets").mkdir(parents=True)
    files = {"file": f"assets/app-{version}.js", "css": [f"assets/app-{version}.css"]}
    for name in [files["file"], *files["css"]]:
        (path / name).write_text(version)
    (path / where).parent.mkdir(exist_ok=True)
    (path / where).write_text(json.dumps({"resources/app.js": files}))
    return path


@pytest.fixture
def old(tmp_path):
    return make(tmp_path / "old", "v1")


@pytest.fixture
def new(tmp_path):
    return make(tmp_path / "new", "v2")


def test_a_build_that_carries_nothing_is_identified_as_ever(old):
    """Restore points that were captured before builds carried anything stay valid."""
    assert builds.build_digest(str(old)) == tree_digest(str(old))
    assert builds.build_digest(str(old / "gone")) == ""


def test_what_is_carried_does_not_count_and_is_there(old, new):
    before = builds.build_digest(str(old))
    names = ["assets/app-v2.css", "assets/app-v2.js"]
    assert builds.carry(str(new), str(old), "assets") == names
    assert builds.build_digest(str(old)) == before
    assert [(old / name).read_text() for name in names] == ["v2", "v2"]
    assert builds.carried(str(old)) == [builds.CARRIED, *names]
    assert builds.carry(str(new), str(old), "assets") == []
    # What it carries is handed on, so that pages two builds old still find theirs.
    third = make(old.parent / "third", "v3")
    builds.carry(str(old), str(third), "assets")
    assert sorted(os.listdir(third / "assets")) == [f"app-v{n}.{kind}" for n in (1, 2, 3) for kind in ("css", "js")]


def test_what_is_carried_is_listed_before_it_is_there(old, new, monkeypatch):
    before = builds.build_digest(str(old))
    done = []

    def killed(source, destination):
        if done:
            raise KeyboardInterrupt
        os.link(source, destination)
        done.append(destination)

    monkeypatch.setattr(builds, "link_or_copy", killed)
    with pytest.raises(KeyboardInterrupt):
        builds.carry(str(new), str(old), "assets")
    assert done
    assert builds.build_digest(str(old)) == before


def test_own_files_are_never_replaced_by_carried_ones(old, new):
    (new / "assets" / "app-v1.js").write_text("damaged")
    builds.carry(str(new), str(old), "assets")
    assert (old / "assets" / "app-v1.js").read_text() == "v1"
    # Nothing but assets: a manifest or a page of the other build would mix the two.
    (new / "sw.js").write_text("v2")
    builds.carry(str(new), str(old), "assets")
    assert not (old / "sw.js").exists()


def test_any_other_change_counts(old, new):
    before = builds.build_digest(str(old))
    builds.carry(str(new), str(old), "assets")
    (old / "assets" / "app-v1.js").write_text("changed")
    assert builds.build_digest(str(old)) != before
    (old / "assets" / "app-v1.js").write_text("v1")
    (old / "assets" / "more.js").write_text("more")
    assert builds.build_digest(str(old)) != before


@pytest.mark.parametrize("where", builds.MANIFESTS)
def test_a_manifest_and_its_files(tmp_path, where):
    build = make(tmp_path / "build", "v1", where)
    assert builds.named(str(build)) == ["assets/app-v1.css", "assets/app-v1.js"]
    assert builds.fault(str(build)) == ""
    (build / "assets" / "app-v1.css").unlink()
    assert "1 missing, assets/app-v1.css the first" in builds.fault(str(build))
    for text in ("{", "[]", '{"a": {}}'):
        (build / where).write_text(text)
        assert "has no manifest to be used" in builds.fault(str(build))
    (build / where).unlink()
    assert "no manifest" in builds.fault(str(build))


def test_a_kept_build_is_its_own_files_with_their_modes(old, new, tmp_path):
    (old / "assets" / "app-v1.js").chmod(0o640)
    builds.carry(str(new), str(old), "assets")
    digest = builds.build_digest(str(old))
    kept = builds.keep(str(old), str(tmp_path / "kept"), COMMIT)
    assert kept == builds.Found("kept", str(tmp_path / "kept" / f"{COMMIT}-{digest[:12]}"), digest)
    assert builds.files_below(kept.path) == ["assets/app-v1.css", "assets/app-v1.js", "manifest.json"]
    assert tree_digest(kept.path) == digest
    assert os.stat(os.path.join(kept.path, "assets", "app-v1.js")).st_mode & 0o777 == 0o640
    inode = os.stat(kept.path).st_ino
    assert builds.keep(str(old), str(tmp_path / "kept"), COMMIT) == kept
    assert os.stat(kept.path).st_ino == inode, "one that is kept already is left alone"
    (tmp_path / "kept" / os.path.basename(kept.path) / "manifest.json").write_text("damaged")
    assert tree_digest(builds.keep(str(old), str(tmp_path / "kept"), COMMIT).path) == digest
    with pytest.raises(RollbackError, match="no front-end build to keep"):
        builds.keep(str(old / "gone"), str(tmp_path / "kept"), COMMIT)


def test_builds_of_one_commit_are_told_apart_by_digest(tmp_path):
    root = tmp_path / "builds"
    made = {name: make(root / name, name) for name in (COMMIT, "v2", "v3")}
    digests = {name: builds.build_digest(str(path)) for name, path in made.items()}
    for name in ("v2", "v3"):
        made[name].rename(root / builds.kept_name(COMMIT if name == "v2" else "2" * 40, digests[name]))

    def found(digest):
        return builds.find([("kept", path) for path in builds.places(str(root), COMMIT, digest)], digest, whole=True)

    for name in made:
        assert found(digests[name])[0].digest == digests[name]
    # Without a digest it has to be of the commit, that of the pipeline before others.
    assert found("")[0].path == str(root / COMMIT)
    assert builds.places(str(tmp_path / "gone"), COMMIT, "") == [str(tmp_path / "gone" / COMMIT)]


def test_a_build_with_a_wrong_digest_is_refused_by_name(old):
    found, reasons = builds.find([("kept", str(old)), ("kept", str(old / "gone"))], "a" * 64, whole=True)
    assert found is None
    (reason,) = reasons
    assert reason == f"{old} has the digest {builds.build_digest(str(old))[:12]}, wanted aaaaaaaaaaaa"


def test_a_build_that_is_not_whole_is_no_candidate(old, new):
    (old / "assets" / "app-v1.js").unlink()
    digest = builds.build_digest(str(old))
    found, reasons = builds.find([("kept", str(old)), ("release", str(new))], "", whole=False)
    assert (found.path, len(reasons)) == (str(new), 1)
    assert builds.find([("kept", str(old))], digest, whole=True)[0] is None
    # A captured build that has no manifest may still come with its release.
    assert builds.find([("kept", str(old))], digest, whole=False)[0].digest == digest


def test_a_copy_that_was_cut_short_is_made_again(old, tmp_path, monkeypatch):
    destination = tmp_path / "builds" / "run"

    def killed(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(builds.os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        builds.put(str(old), str(destination))
    assert not destination.exists()
    monkeypatch.undo()
    builds.put(str(old), str(destination))
    builds.put(str(old), str(destination))
    assert tree_digest(str(destination)) == tree_digest(str(old))
    assert os.listdir(tmp_path / "builds") == ["run"]


def test_where_files_cannot_have_two_names_they_are_copied(old, new, monkeypatch):
    def impossible(*_arguments, **_options):
        raise OSError

    monkeypatch.setattr(builds.os, "link", impossible)
    builds.carry(str(new), str(old), "assets")
    shutil.rmtree(new)
    assert (old / "assets" / "app-v2.js").read_text() == "v2"
