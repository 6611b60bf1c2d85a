#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_info
short_description: Tell what one host has to say before a deployment
description:
  - Live commit, digests of environment files, and whether the migrations that a commit brings could be reversed.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.reads_only
options:
  env_files:
    description: Environment files of this host. Of their content only a digest is told.
    type: list
    elements: str
    default: []
  code:
    description: Where the application lies on this host; left out where it does not.
    type: dict
    suboptions:
      path:
        description: Root of the application on this host.
        type: path
        required: true
      layout:
        description: How releases lie below it, as in M(campaign.rollback.release_info).
        type: str
        default: releases
      repository:
        description: Git repository on this host, for the layout V(releases).
        type: path
        required: true
      build_path:
        description: Front-end build inside a release.
        type: str
        default: public/build
  commit:
    description: Commit to deploy. Its migrations are read where it is given.
    type: str
    default: ""
  search:
    description: Directories with migrations in a commit, as patterns.
    type: list
    elements: str
    default: [database/migrations]
  accept_lossy:
    description: Migrations that may take away data for good.
    type: list
    elements: str
    default: []
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Ask a web host
  campaign.rollback.deployment_info:
    env_files: [/srv/campaign/shared/.env]
    code: {path: /srv/campaign, repository: /srv/campaign/repo.git}
    commit: 1a2b3c4d5e6f70819293a4b5c6d7e8f901234567
"""

RETURN = r"""
commit:
  description: Live commit, empty where the application is not.
  returned: success
  type: str
environment:
  description: Digest of each environment file, empty for one that is not there.
  returned: success
  type: dict
migrations:
  description:
    - The C(names) of the migrations that are new, C(refusals) why they cannot be reversed, C(notes), and the C(problem)
      if they cannot be read. Null where no commit is given.
  returned: success
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import deployments, environment, releases
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def read_migrations(given, code, live):
    """The migrations of the commit; that they cannot be read is told beside the rest."""
    repository = os.path.join(code["path"], ".git") if code["layout"] == "checkout" else code["repository"]
    empty = {"names": [], "refusals": [], "notes": [], "problem": ""}
    try:
        settings = environment.parse(environment.read(os.path.join(live.path, ".env")))
        connection = environment.plain(settings.get("DB_CONNECTION", "")) or None
        found = deployments.new_migrations(
            repository, live.commit, given["commit"], given["search"], given["accept_lossy"], connection
        )
    except RollbackError as error:
        return {**empty, "problem": str(error)}
    return {name: found.get(name, empty[name]) for name in empty}


def digest(path):
    """Digest of an environment file, empty if it is not there."""
    return environment.text_digest(environment.read(path)) if os.path.exists(path) else ""


def main() -> None:
    code = {
        "path": {"type": "path", "required": True},
        "layout": {"type": "str", "default": "releases"},
        "repository": {"type": "path", "required": True},
        "build_path": {"type": "str", "default": "public/build"},
    }
    module = AnsibleModule(
        argument_spec={
            "env_files": {"type": "list", "elements": "str", "default": []},
            "code": {"type": "dict", "options": code},
            "commit": {"type": "str", "default": ""},
            "search": {"type": "list", "elements": "str", "default": ["database/migrations"]},
            "accept_lossy": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    where, live, migrations = given["code"], None, None
    try:
        if where:
            live = releases.layout(where["layout"], where["path"], where["repository"], where["build_path"]).current()
        found = {path: digest(path) for path in given["env_files"]}
        if live and given["commit"]:
            migrations = read_migrations(given, where, live)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, commit=live.commit if live else "", environment=found, migrations=migrations)


if __name__ == "__main__":
    main()
