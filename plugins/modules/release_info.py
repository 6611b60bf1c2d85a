#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: Tell which release is live and whether another one can be
description:
  - Reads the live release of the application from the host's layout, and looks for a release of a commit.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.reads_only
options:
  path:
    description: Root of the application on this host; in the layout V(checkout) the working tree.
    type: path
    required: true
  layout:
    description:
      - V(releases) is dated directories in C(releases/) below O(path), and C(current), a link to the live one.
      - V(checkout) is one git working tree, O(path) itself.
    type: str
    choices: [releases, checkout]
    default: releases
  repository:
    description: Bare git repository on this host. Required with O(layout=releases); a working tree has its own.
    type: path
  build_path:
    description: Front-end build inside a release.
    type: str
    default: public/build
  commit:
    description: Commit to look for. Empty looks only at the live release.
    type: str
    default: ""
  name:
    description: Release to prefer if several have the commit.
    type: str
    default: ""
  kept:
    description: Paths in a working tree that do not count as modified, such as links to shared files.
    type: list
    elements: str
    default: []
  run_id:
    description: Run that stages O(commit), or has begun to switch to it. What another run staged is not its own to use.
    type: str
    default: ""
  state_dir:
    description: Directory of the project's state on the host.
    type: path
    default: /var/lib/rollback
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Look for the release that was good
  campaign.rollback.release_info:
    path: /srv/campaign
    repository: /srv/campaign/repo.git
    commit: 1a2b3c4d5e6f70819293a4b5c6d7e8f901234567
"""

RETURN = r"""
link:
  description: The link that makes a release live; in the layout V(checkout) the working tree.
  returned: success
  type: str
current:
  description: The live release with C(name), C(path), C(commit), C(version), C(build) and C(build_digest).
  returned: success
  type: dict
target:
  description: The release of O(commit) on this host, empty if there is none.
  returned: success
  type: dict
fresh:
  description: Directory in which O(run_id) checks O(commit) out where it has no release.
  returned: success
  type: str
modified:
  description: Tracked files of a live working tree that are not as in its commit.
  returned: success
  type: list
  elements: str
needs_install:
  description:
    - Whether O(commit), checked out again, would be without the packages that its C(composer.lock) names, because git
      does not track C(vendor). In a working tree that is so where the live commit names others.
  returned: success
  type: bool
commit_present:
  description: Whether O(commit) can be checked out again on this host.
  returned: success
  type: bool
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import DEFAULT_STATE_DIR, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.releases import fresh, layout


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "layout": {"type": "str", "choices": ["releases", "checkout"], "default": "releases"},
            "repository": {"type": "path"},
            "build_path": {"type": "str", "default": "public/build"},
            "commit": {"type": "str", "default": ""},
            "name": {"type": "str", "default": ""},
            "kept": {"type": "list", "elements": "str", "default": []},
            "run_id": {"type": "str", "default": ""},
            "state_dir": {"type": "path", "default": DEFAULT_STATE_DIR},
        },
        required_if=[("layout", "releases", ["repository"])],
        supports_check_mode=True,
    )
    params = module.params
    try:
        journal = Journal(params["run_id"], params["state_dir"]) if params["run_id"] else None
        places = (params["path"], params["repository"], params["build_path"])
        releases = layout(params["layout"], *places, params["kept"], journal)
        current = releases.current()
        target = releases.find(params["commit"], params["name"]) if params["commit"] else None
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        link=releases.link,
        current=dataclasses.asdict(current),
        fresh=fresh(releases.staging, params["run_id"], params["commit"]),
        modified=releases.modified(),
        needs_install=bool(params["commit"]) and target is None and releases.needs_install(params["commit"]),
        target=dataclasses.asdict(target) if target else {},
        commit_present=bool(params["commit"]) and (target is not None or releases.has_commit(params["commit"])),
    )


if __name__ == "__main__":
    main()
