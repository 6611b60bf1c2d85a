#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: checkout_switch
short_description: Bring a live git working tree to a commit, and back
description:
  - Brings the tracked files, the index and HEAD of a working tree to a commit exactly. Files that the commit does not
    have go away, untracked ones stay.
  - Then exchanges untracked directories, such as a front-end build, with prepared ones, each in one atomic step.
  - With O(files) only some files are brought to it.
  - What was there, local modifications included, is a commit below C(refs/rollback/kept/) and in the run's journal
    before anything changes; O(state=reverted) puts back files, index, branch and directories. Called again after it was
    killed, it completes its work.
  - Files change one after the other and under the same names, so users have to be held back meanwhile, and PHP has to
    be reloaded afterwards, as the role C(services) does.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
options:
  path:
    description: Root of the working tree. Required unless O(state=reverted).
    type: path
  commit:
    description: Commit to bring the tree to; the repository has to have it. Required unless O(state=reverted).
    type: str
  kept:
    description: Paths in the tree that are not looked at even if commits have them, such as links to shared files.
    type: list
    elements: str
    default: []
  prepared:
    description:
      - Another tree on the same file system, with the O(directories) of the commit.
      - Required unless O(state=reverted).
    type: path
  files:
    description:
      - Files that are brought to O(commit), beside those that this commit itself changes. All others stay as they are,
        modified or not. Without this option every file is brought to it.
    type: list
    elements: str
  directories:
    description: Directories in the tree that change places with those of O(prepared).
    type: list
    elements: str
    default: []
  component:
    description: Component on whose behalf the tree is switched.
    type: str
    required: true
  state:
    description:
      - V(prepared) checks O(commit) out in O(prepared), which must not exist yet, and makes sure that directories there
        can change places with those of O(path).
      - V(switched) brings the tree to O(commit).
      - V(reverted) puts back all that O(reverts) changed for O(component).
    type: str
    choices: [prepared, switched, reverted]
    default: switched
attributes:
  check_mode:
    description: Verifies that the tree can be switched, and says what would change.
    support: full
  diff_mode:
    description: Shows commit and branch before and after, modified files and exchanged directories.
    support: full
  idempotent:
    description: A tree that is at the commit, without modifications, is left alone; V(prepared) is done once.
    support: partial
  platform:
    description: Linux with git, on a file system that can exchange directories.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Make the restored commit the live one
  campaign.rollback.checkout_switch:
    path: /srv/campaign/app
    commit: 1a2b3c4d5e6f70819293a4b5c6d7e8f901234567
    prepared: /srv/campaign/app.rollback/20261121T174500Z-1a2b3c4
    directories: [public/build, bootstrap/cache]
    component: application
    run_id: 20261121T174500Z
"""

RETURN = r"""
before:
  description: C(commit) and C(branch) of HEAD before; C(branch) is empty where HEAD is on none.
  returned: success
  type: dict
after:
  description: C(commit) and C(branch) of HEAD after.
  returned: success
  type: dict
modified:
  description: Tracked files that were not as in the commit; they are kept, and come back with an undo.
  returned: success
  type: list
  elements: str
exchanged:
  description: Directories that changed places with prepared ones.
  returned: success
  type: list
  elements: str
"""

import contextlib
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import exchange, worktree
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal, Step


def prepare(params: dict[str, Any], act: bool) -> dict[str, Any]:
    """Check the commit out beside the tree."""
    tree = worktree.Tree(params["path"], params["kept"])
    worktree.check(tree, params["commit"])
    if os.path.lexists(params["prepared"]):
        raise RollbackError("The place to prepare the commit in is taken", where=params["prepared"])
    if act:
        worktree.prepare(tree, params["commit"], params["prepared"])
    return {
        "before": {},
        "after": {"commit": params["commit"], "branch": ""},
        "modified": [],
        "exchanged": [],
        "changed": True,
    }


def switch(by: Journal, params: dict[str, Any], act: bool) -> dict[str, Any]:
    """Bring the tree to the commit; without ``act`` only say what would change."""
    tree, component, commit = worktree.Tree(params["path"], params["kept"]), params["component"], params["commit"]
    names = params["directories"]
    pairs = [(os.path.join(tree.root, name), os.path.join(params["prepared"], name)) for name in names]
    worktree.check(tree, commit)
    head, branch = tree.head()
    only = None if params["files"] is None else sorted({*params["files"], *tree.changed_by(commit)})
    needed = not tree.is_at(commit, only)
    result = {
        "before": {"commit": head, "branch": branch},
        "after": {"commit": commit, "branch": branch if head == commit else ""},
        "modified": [path for path in tree.modified() if only is None or path in only] if needed else [],
        "exchanged": [path for path, prepared in pairs if exchange.check(by, component, path, prepared)],
    }
    if act:
        worktree.switch(by, component, tree, commit, only)
        for path, prepared in pairs:
            exchange.exchange(by, component, path, prepared)
    return {**result, "changed": needed or bool(result["exchanged"])}


def look_back(steps: list[Step]) -> dict[str, Any]:
    """What putting ``steps`` back, newest first, would change."""
    result: dict[str, Any] = {"before": {}, "after": {}, "modified": [], "changed": False}
    # Of several switches of the tree the oldest says where it ends.
    for step in [step for step in steps if "place" in step.undo][-1:]:
        tree, place = worktree.Tree(step.undo["path"], step.undo["kept"]), step.undo["place"]
        tree.check()
        head, branch = tree.head()
        stays = place["branch"] and tree.commit_of(place["branch"]) == place["commit"]
        result["before"] = {"commit": head, "branch": branch}
        result["after"] = {"commit": place["commit"], "branch": place["branch"] if stays else ""}
        result["modified"] = tree.modified()
        result["changed"] = bool(tree.changes(place["tree"]) or tree.staged(place["index"]))
    wanted = {step.undo["path"]: step.undo["replaced"] for step in steps if "prepared" in step.undo}
    result["exchanged"] = [path for path, replaced in wanted.items() if exchange.identity(path) != replaced]
    result["changed"] |= result["before"] != result["after"] or bool(result["exchanged"])
    return result


def revert(journal: Journal, by: Journal, component: str, act: bool) -> dict[str, Any]:
    """Put back what the run of ``journal`` changed; without ``act`` only say what that would be."""
    steps = journal.to_undo(component)
    result = look_back(steps)
    for step in steps if act else []:
        if "place" in step.undo:
            worktree.put_back(journal, by, step)
        else:
            exchange.put_back(journal, by, step)
    return result


def text(head: dict[str, str], more: list[str]) -> str:
    """One side of the diff."""
    commit = [f"commit {head['commit']} {head['branch']}".strip()] if head else []
    return "".join(f"{line}\n" for line in [*commit, *more])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            "commit": {"type": "str"},
            "kept": {"type": "list", "elements": "str", "default": []},
            "prepared": {"type": "path"},
            "files": {"type": "list", "elements": "str"},
            "directories": {"type": "list", "elements": "str", "default": []},
            "component": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["prepared", "switched", "reverted"], "default": "switched"},
            **UNDO_OPTIONS,
        },
        required_if=[("state", state, ["path", "commit", "prepared"]) for state in ("prepared", "switched")],
        supports_check_mode=True,
    )
    params, act = module.params, not module.check_mode
    try:
        by, journal = Journal.of_module(params), Journal.to_revert(params)
        with by.acting() if act else contextlib.nullcontext():
            if params["state"] == "prepared":
                result = prepare(params, act)
            elif params["state"] == "switched":
                result = switch(by, params, act)
            else:
                result = revert(journal, by, params["component"], act)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    exchanged = [f"exchanged {path}" for path in result["exchanged"]]
    diff = {
        "before": text(result["before"], [f"modified {path}" for path in result["modified"]]),
        "after": text(result["after"], exchanged),
    }
    module.exit_json(**result, diff=diff)


if __name__ == "__main__":
    main()
