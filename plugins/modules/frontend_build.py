#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: frontend_build
short_description: Keep front-end builds, and make one of them the live one without building
description:
  - Builds are kept by commit and digest. One of them is staged beside the live one, and both change places in one step.
  - The build that goes live also serves the assets of the one it replaces, for pages that are open in browsers.
  - All that a host has to do in a step is one call, because users and the operator wait for it.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
options:
  path:
    description: Root of the application on this host.
    type: path
    required: true
  layout:
    description: How the code lies below O(path), as the module M(campaign.rollback.release_info) takes it.
    type: str
    default: releases
  repository:
    description: Bare git repository on this host.
    type: path
    required: true
  build_path:
    description: Front-end build inside the code.
    type: str
    default: public/build
  builds:
    description: Directory that keeps builds, on the file system of the live code.
    type: path
    required: true
  commit:
    description: Commit whose build is wanted.
    type: str
    default: ""
  release:
    description: Release to prefer if several have O(commit).
    type: str
    default: ""
  digest:
    description: Digest of the wanted build. Without it any whole build of O(commit) is right.
    type: str
    default: ""
  built:
    description: Directory in which the wanted build was just made, looked at after all others.
    type: path
  kept:
    description: Paths in a working tree that do not count as modified, such as links to shared files.
    type: list
    elements: str
    default: []
  assets:
    description: Directory inside a build whose file names carry a hash.
    type: str
    default: assets
  into:
    description:
      - Where the wanted build shall go with O(state=staged).
      - V(live) prepares an exchange with the live build, V(release) puts it into the release of O(commit).
    type: str
    choices: [live, release]
    default: live
  reload:
    description: Units of systemd that are reloaded after the exchange.
    type: list
    elements: str
    default: []
  clear:
    description: Directories of caches that are emptied after the exchange.
    type: list
    elements: path
    default: []
  access_log:
    description: Access log of the web server. Its end is kept before the exchange, and later it is read from there on.
    type: path
  held:
    description: Regular expression of the paths that are held back on purpose; their answer 503 is no error.
    type: str
    default: ""
  state:
    description:
      - V(looked) reads what is live, and what was answered since the exchange.
      - V(kept) keeps a copy of the live build.
      - V(staged) prepares the wanted build.
      - V(switched) exchanges it with the live one.
      - V(reverted) puts back what O(reverts) replaced.
    type: str
    choices: [looked, kept, staged, switched, reverted]
    default: looked
attributes:
  check_mode:
    description: Looks for the wanted build as in a real run, and says what would change.
    support: full
  diff_mode:
    description: Shows the digest of the live build before and after.
    support: full
  idempotent:
    description: A build that is kept, staged or live is left alone; units are reloaded and caches emptied each time.
    support: partial
  platform:
    description: Linux.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Make the build of an earlier commit the live one
  campaign.rollback.frontend_build:
    run_id: 20261121T174500Z
    path: /srv/campaign
    repository: /srv/campaign/repo.git
    builds: /srv/campaign/shared/builds
    commit: 1a2b3c4d5e6f70819293a4b5c6d7e8f901234567
    reload: [php8.2-fpm.service, nginx.service]
    state: switched
"""

RETURN = r"""
live:
  description:
    - The live build, with C(path), C(commit) of the code that it lies in, C(digest), and C(fault), why it cannot serve.
  returned: success
  type: dict
source:
  description:
    - Where the wanted build comes from, with C(kind), C(path) and C(digest); C(kind) is V(live), V(staged), V(kept),
      V(release), V(built), or empty if there is none.
  returned: O(state=staged)
  type: dict
release:
  description:
    - The release of O(commit) on this host, in which a build can be made.
    - Empty if there is none, or if it is the live one.
  returned: O(state=staged)
  type: str
reasons:
  description: Why builds that were found are not the wanted one.
  returned: O(state=staged)
  type: list
  elements: str
names:
  description: Files that the manifest of the wanted build names, and up to three assets that the live one has alone.
  returned: O(state=staged)
  type: dict
  sample: {own: [assets/app-1a2b3c4d.js], old: [assets/app-5e6f7081.js]}
answered:
  description:
    - Number of C(requests) since the exchange and of C(errors), status 5xx, among them, with the C(first).
    - Those on paths that failed in the ten minutes before as well count C(as_before) instead.
    - Null if the run exchanged nothing.
  returned: O(state=looked)
  type: dict
"""

import dataclasses
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import access_log, builds, exchange
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.releases import layout
from ansible_collections.campaign.rollback.plugins.module_utils.service_group import systemctl

COMPONENT = "frontend"


class Host:
    """What the options name on this host."""

    def __init__(self, module):
        """Find the live code; nothing is changed."""
        self.params = params = module.params
        self.module = module
        self.by, self.journal = Journal.of_module(params), Journal.to_revert(params)
        places = (params["path"], params["repository"], params["build_path"])
        self.code = layout(params["layout"], *places, params["kept"], self.by)
        self.current = self.code.current()
        self.live = self.current.build
        self.staged = os.path.join(params["builds"], params["run_id"])
        self.mark = os.path.join(self.by.directory, "access-log.json")

    def release(self):
        """Build of the wanted commit's release, empty if this host has no such release."""
        found = self.code.find(self.params["commit"], self.params["release"]) if self.params["commit"] else None
        return found.build if found else ""

    def describe(self):
        """The live build as it is now."""
        digest = builds.build_digest(self.live)
        return {
            "path": self.live,
            "commit": self.current.commit,
            "digest": digest,
            "fault": builds.fault(self.live) if digest else "there is no build",
        }

    def wanted(self, release):
        """The wanted build, None if there is none, and why what was found is not it."""
        params = self.params
        live, staged = ("live", self.live), ("staged", self.staged)
        candidates = [("kept", place) for place in builds.places(params["builds"], params["commit"], params["digest"])]
        # Without a digest nothing says that the live build, whose code may be of the same commit, is the wanted one.
        candidates += [("release", release)] if release and release != self.live else []
        candidates += [("built", params["built"])] if params["built"] else []
        if params["into"] == "release":
            return builds.find([("release", release), *candidates], params["digest"], whole=False)
        if self.announced():
            candidates = [staged if exchange.check(self.by, COMPONENT, self.live, self.staged) else live]
        elif params["digest"]:
            candidates = [live, staged, *candidates]
        return builds.find(candidates, params["digest"], whole=True)

    def announced(self):
        """Whether this run announced the exchange already: then what lies staged may be what was replaced."""
        return exchange.announced(self.by, COMPONENT, self.live, self.staged) is not None


def stage(host, check):
    """Prepare the wanted build; returns whether anything changed, and what was found."""
    release, into_live = host.release(), host.params["into"] == "live"
    found, reasons = host.wanted(release)
    answer = {
        "source": dataclasses.asdict(found) if found else {"kind": "", "path": "", "digest": ""},
        # Nobody may be served from where a build is made.
        "release": release[: -len(host.params["build_path"]) - 1] if release != host.live else "",
        "reasons": reasons,
        "names": {"own": builds.named(found.path), "old": only_live(host, found.path)} if found and into_live else {},
    }
    destination = host.staged if into_live else release
    needed = found is not None and found.path not in (destination, host.live)
    if found is None and not check:
        raise RollbackError("There is no such front-end build", found="; ".join(reasons), where=host.params["builds"])
    if needed and not check:
        if not destination:
            raise RollbackError("There is no release of this commit to put its build into", host.params["commit"])
        with host.by.acting():
            if destination == host.live and os.path.isdir(host.live):
                # The live code is the wanted one and its build is not, so what was there is kept.
                builds.keep(host.live, host.params["builds"], host.current.commit)
            builds.put(found.path, destination)
            if into_live:
                exchange.try_out(host.params["builds"])
    return needed, answer


def only_live(host, wanted):
    """A few assets that pages of the live build may still ask for and the wanted one has not."""
    assets = host.params["assets"]
    names = [os.path.join(assets, name) for name in builds.files_below(os.path.join(host.live, assets))]
    return [name for name in names if not os.path.lexists(os.path.join(wanted, name))][:3]


def switch(host, check):
    """Exchange what is staged with the live build, and let everything forget the old one."""
    params = host.params
    if not os.path.isdir(host.staged):
        # Nothing had to be staged, or it could not be in check mode.
        needed = params["digest"] != builds.build_digest(host.live)
        if needed and not check:
            raise RollbackError("Nothing is staged that could go live", found="no directory", where=host.staged)
    else:
        needed = exchange.check(host.by, COMPONENT, host.live, host.staged)
    if not check:
        with host.by.acting():
            if params["access_log"]:
                access_log.keep_mark(host.mark, params["access_log"])
            if needed:
                builds.carry(host.live, host.staged, params["assets"])
            if os.path.isdir(host.staged):
                exchange.exchange(host.by, COMPONENT, host.live, host.staged)
            refresh(host)
    return needed


def revert(host, check):
    """Put back what was replaced; what was staged and never went live is taken away."""
    steps = [step for step in host.journal.to_undo(COMPONENT) if "prepared" in step.undo]
    left = os.path.join(host.params["builds"], host.journal.run_id)
    forgotten = not host.journal.steps(COMPONENT) and os.path.isdir(left)
    if not check:
        with host.by.acting():
            for step in steps:
                path, prepared = step.undo["path"], step.undo["prepared"]
                if exchange.identity(path) != step.undo["replaced"] and exchange.identity(prepared) is not None:
                    builds.carry(path, prepared, host.params["assets"])
                exchange.put_back(host.journal, host.by, step)
            if forgotten:
                shutil.rmtree(left)
            # Also if an interrupted attempt got no further than the exchange.
            if host.journal.steps(COMPONENT):
                refresh(host)
    return bool(steps or forgotten)


def refresh(host):
    """Empty the declared caches, and reload what holds the old build or its opcodes; requests under way finish."""
    for directory in host.params["clear"]:
        for name in os.listdir(directory) if os.path.isdir(directory) else []:
            path = os.path.join(directory, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
    systemctl(lambda argv: host.module.run_command(argv, cwd="/"), "reload-or-restart", host.params["reload"])


def keep(host, check):
    """Keep the live build; returns whether it was not kept yet."""
    live = host.describe()
    place = os.path.join(host.params["builds"], builds.kept_name(live["commit"], live["digest"]))
    needed = builds.build_digest(place) != live["digest"]
    if not check:
        with host.by.acting():
            builds.keep(host.live, host.params["builds"], live["commit"])
    return needed


def answered(host):
    """How the web server answered since the exchange."""
    place = access_log.read_mark(host.mark)
    return access_log.server_errors(place, host.params["held"]) if place else None


def act(host, check):
    """Bring the build to the state asked for; returns whether that changes anything, and what was found."""
    state = host.params["state"]
    if state == "staged":
        return stage(host, check)
    if state == "looked":
        return False, {"answered": answered(host)}
    return {"kept": keep, "switched": switch, "reverted": revert}[state](host, check), {}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "layout": {"type": "str", "default": "releases"},
            "repository": {"type": "path", "required": True},
            "build_path": {"type": "str", "default": "public/build"},
            "builds": {"type": "path", "required": True},
            "commit": {"type": "str", "default": ""},
            "release": {"type": "str", "default": ""},
            "digest": {"type": "str", "default": ""},
            "built": {"type": "path"},
            "kept": {"type": "list", "elements": "str", "default": []},
            "assets": {"type": "str", "default": "assets"},
            "into": {"type": "str", "choices": ["live", "release"], "default": "live"},
            "reload": {"type": "list", "elements": "str", "default": []},
            "clear": {"type": "list", "elements": "path", "default": []},
            "access_log": {"type": "path"},
            "held": {"type": "str", "default": ""},
            "state": {
                "type": "str",
                "choices": ["looked", "kept", "staged", "switched", "reverted"],
                "default": "looked",
            },
            **UNDO_OPTIONS,
        },
        supports_check_mode=True,
    )
    try:
        host = Host(module)
        before = host.describe()
        changed, found = act(host, module.check_mode)
        after = before if module.check_mode else host.describe()
    except (RollbackError, OSError) as error:
        module.fail_json(msg=str(RollbackError.of_file(error) if isinstance(error, OSError) else error))
    module.exit_json(
        changed=changed,
        live=after,
        **found,
        diff={"before": before["digest"] + "\n", "after": shown(module, before, after) + "\n"},
    )


def shown(module, before, after):
    """Digest of the live build after the step, in check mode the one that it would have."""
    if module.check_mode and module.params["state"] == "switched":
        return module.params["digest"] or "the wanted build"
    return after["digest"] if not module.check_mode else before["digest"]


if __name__ == "__main__":
    main()
