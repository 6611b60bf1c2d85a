#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_files
short_description: Make a release of the live one with some files of an older commit
description:
  - Makes a new commit on top of the live one, with some files as they are in an older commit, in the repository of this
    host, under C(refs/rollback/<run>). The same run makes the same commit on every host.
  - With O(layout=releases) it makes a release of that commit beside the live one, as a copy of it with these files.
  - Nothing goes live; that is for M(campaign.rollback.path_switch), or for M(campaign.rollback.checkout_switch) where
    there is one working tree.
version_added: 0.2.0
extends_documentation_fragment:
  - campaign.rollback.run
options:
  path:
    description: Root of the application on this host, or the working tree.
    type: path
    required: true
  layout:
    description: How releases lie below O(path), or that there is one git working tree.
    type: str
    choices: [releases, checkout]
    default: releases
  repository:
    description: Git directory on this host, that of the working tree if there is one.
    type: path
    required: true
  build_path:
    description: Front-end build inside a release.
    type: str
    default: public/build
  commit:
    description: Older commit that the files are taken from.
    type: str
    required: true
  files:
    description:
      - Patterns relative to the code. C(*) stands for anything but C(/), C(**) for anything; a directory stands for all
        below it.
      - Files that they cover and that the older commit does not have are removed.
    type: list
    elements: str
    required: true
  spared:
    description: Patterns of files that must not change. A file that differs and that they cover too is an error.
    type: list
    elements: str
    default: []
  what:
    description: What is restored, in words for the commit's message.
    type: str
    default: files
attributes:
  check_mode:
    description: Computes the commit in a temporary directory and says which files differ.
    support: full
  diff_mode:
    description: Shows the names of the files that differ.
    support: full
  idempotent:
    description: A release that is there already is left alone.
    support: full
  platform:
    description: Any POSIX host with git.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Make a release with the client of the restore point
  campaign.rollback.release_files:
    run_id: 20261121T174500Z
    path: /srv/campaign
    repository: /srv/campaign/repo.git
    commit: 1a2b3c4d5e6f70819293a4b5c6d7e8f901234567
    files: [app/Services/WhatsAppClient.php]
    what: function whatsapp
"""

RETURN = r"""
commit:
  description: The new commit, computed only in check mode.
  returned: success
  type: str
made:
  description: Whether this run had made the commit, and its release where there are releases, before this call.
  returned: success
  type: bool
is_live:
  description: Whether the commit is the live one.
  returned: success
  type: bool
link:
  description: The link that makes a release live, or the working tree.
  returned: success
  type: str
live:
  description: Directory of the live release.
  returned: success
  type: str
release:
  description: Directory of the new release, or the working tree.
  returned: success
  type: str
files:
  description: Files of the live release that differ, edited on this host or by a commit.
  returned: success
  type: list
  elements: str
"""

import contextlib
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import file_commit, release_files
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.functions import matches
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.releases import layout


def look(params, live):
    """Files of the live release that differ, the new commit, and the directory of its release."""
    repository = file_commit.Repository(params["repository"])
    # A run that is resumed after its switch finds its own commit live.
    if file_commit.kept(repository, params["run_id"]) == live.commit:
        wanted = file_commit.wanted_files(repository, live.commit + "^", params["commit"], params["files"])
        return release_files.different(live.path, wanted), live.commit, live.path
    with file_commit.rehearsal(params["repository"]) as rehearsed:
        wanted, made = prepare(rehearsed, params, live)
    name = os.path.join(os.path.dirname(live.path), f"{params['run_id']}-{made[:7]}")
    return release_files.different(live.path, wanted), made, name if params["layout"] == "releases" else live.path


def prepare(repository, params, live):
    """The wanted files and the commit with them."""
    wanted = file_commit.wanted_files(repository, live.commit, params["commit"], params["files"])
    return wanted, file_commit.commit(
        repository, params["run_id"], live.commit, params["commit"], wanted, params["what"]
    )


def refuse_spared(params, found):
    """Raise if one of the files belongs to a function that works."""
    both = [path for path in found if matches(params["spared"], path)]
    if both:
        raise RollbackError(
            "Restoring these files would change what a function uses too that works",
            found=", ".join(both),
            where="rollback_functions",
            next_step="if both are meant, name both with -e rollback_function=a,b",
        )


def is_made(params, made, new):
    """Whether the commit has its name, and its release is whole."""
    named = file_commit.kept(file_commit.Repository(params["repository"]), params["run_id"]) == made
    return named and (params["layout"] == "checkout" or release_files.commit_of(new) == made)


def make(params, live, new):
    """The commit under its name, and its release."""
    repository = file_commit.Repository(params["repository"])
    wanted, made = prepare(repository, params, live)
    file_commit.keep(repository, params["run_id"], made)
    if params["layout"] == "releases":
        release_files.build(repository, live.path, new, made, wanted)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "layout": {"type": "str", "choices": ["releases", "checkout"], "default": "releases"},
            "repository": {"type": "path", "required": True},
            "build_path": {"type": "str", "default": "public/build"},
            "commit": {"type": "str", "required": True},
            "files": {"type": "list", "elements": "str", "required": True},
            "spared": {"type": "list", "elements": "str", "default": []},
            "what": {"type": "str", "default": "files"},
            **RUN_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        journal = Journal.of_module(params)
        with contextlib.nullcontext() if module.check_mode else journal.acting():
            releases = layout(params["layout"], params["path"], params["repository"], params["build_path"])
            live = releases.current()
            found, made, new = look(params, live)
            refuse_spared(params, found)
            changed = not is_made(params, made, new)
            if changed and not module.check_mode:
                make(params, live, new)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    names = "".join(f"{name}\n" for name in found)
    module.exit_json(
        changed=changed,
        commit=made,
        made=not changed,
        is_live=made == live.commit,
        link=releases.link,
        live=live.path,
        release=new,
        files=found,
        diff={"before": "", "after": names},
    )


if __name__ == "__main__":
    main()
