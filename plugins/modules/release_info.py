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
    description: Root of the application on this host.
    type: path
    required: true
  layout:
    description: How releases lie below O(path).
    type: str
    choices: [releases]
    default: releases
  repository:
    description: Bare git repository on this host.
    type: path
    required: true
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
  description: The link that makes a release live.
  returned: success
  type: str
current:
  description: The live release with C(name), C(path), C(commit), C(version) and C(build_digest).
  returned: success
  type: dict
target:
  description: The release of O(commit) on this host, empty if there is none.
  returned: success
  type: dict
commit_present:
  description: Whether O(commit) can be checked out again on this host.
  returned: success
  type: bool
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.releases import layout


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "layout": {"type": "str", "choices": ["releases"], "default": "releases"},
            "repository": {"type": "path", "required": True},
            "build_path": {"type": "str", "default": "public/build"},
            "commit": {"type": "str", "default": ""},
            "name": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        releases = layout(params["layout"], params["path"], params["repository"], params["build_path"])
        current = releases.current()
        target = releases.find(params["commit"], params["name"]) if params["commit"] else None
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        link=releases.link,
        current=dataclasses.asdict(current),
        target=dataclasses.asdict(target) if target else {},
        commit_present=bool(params["commit"]) and (target is not None or releases.has_commit(params["commit"])),
    )


if __name__ == "__main__":
    main()
