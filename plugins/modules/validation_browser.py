#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: validation_browser
short_description: Use declared pages in a real browser and return a verdict for each check
description:
  - Drives Chromium through the declared steps, on all addresses at the same time, and keeps a picture of each check.
  - A script of a page that fails, or one that cannot be loaded, fails the check too.
  - Without a browser every check is skipped, which is not passed. It never fails because a check failed.
version_added: 0.1.0
options:
  urls:
    description: Name to base address, without a trailing slash.
    type: dict
    required: true
  checks:
    description:
      - Checks with C(name) and C(steps), and optionally C(writes) (changes data; made on the first address alone),
        C(rollback_only) (made only after a rollback) and C(max_s) (seconds for each step, V(10)).
      - A step is one of C(visit) (path), C(click) (selector), C(fill) (selector to text), C(select) (selector to the
        label or the number of an option), C(see) and C(absent) (text of the page), C(element) and C(no_element)
        (selector), C(contains) (selector to a text in it). In texts C({unique}) is another word each time, and in
        values C({secret:name}) one of O(secrets).
    type: list
    elements: dict
    required: true
  login:
    description: Steps that are done first on each address, such as those of a log-in.
    type: list
    elements: dict
    default: []
  secrets:
    description: Name to secret.
    type: dict
    default: {}
  headers:
    description: Headers for every request, such as the one that passes the gate.
    type: dict
    default: {}
  after_rollback:
    description: Whether the checks marked C(rollback_only) are made.
    type: bool
    default: false
  writes:
    description: Whether the checks marked C(writes) are made.
    type: bool
    default: false
  browser:
    description: Program of the browser. Without it Playwright's own is used, or a Chromium that is installed.
    type: str
    default: ""
  directory:
    description: Directory for the pictures. They show what a user sees, so only the owner may read them.
    type: path
    required: true
attributes:
  check_mode:
    description: Looks at pages as otherwise.
    details: No check is made that is marked C(writes).
    support: partial
  diff_mode:
    description: Reads only.
    support: none
  idempotent:
    description: A check that writes does so each time.
    support: partial
  platform:
    description: The controller.
    platforms: posix
    support: full
requirements:
  - playwright
  - Chromium
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Look at the form for a new campaign
  campaign.rollback.validation_browser:
    urls: {web1: "http://192.0.2.11"}
    login:
      - visit: /login
      - fill: {"input[name=email]": operator@example.com, "input[name=password]": "{secret:password}"}
      - click: main button
      - see: Campaigns
    secrets: {password: "{{ vault_operator_password }}"}
    checks:
      - name: no hybrid option
        rollback_only: true
        steps:
          - visit: /campaigns/create
          - element: "#campaign-form"
          - no_element: "#hybrid-options"
    directory: artifacts/browser
  delegate_to: localhost
"""

RETURN = r"""
checks:
  description:
    - C(name), C(target), C(verdict) (C(passed), C(failed), C(skipped)), C(passed), C(detail), the file of the picture
      as C(evidence), and C(seconds) of each check and address.
  returned: success
  type: list
  elements: dict
checks_failed:
  description: How many have failed.
  returned: success
  type: int
skipped:
  description: Why nothing was looked at, empty if it was.
  returned: success
  type: str
"""

import asyncio
import os
import shutil
import time
import uuid

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import browser_checks
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import (
    FAILED,
    PASSED,
    SKIPPED,
    failing,
    statement,
)

try:
    from playwright.async_api import Error, async_playwright
except ImportError:
    async_playwright = None

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Failed(Exception):
    """Why a check fails; a text of the page is never repeated."""


class Visit:
    """One address in one window of the browser, with what went wrong on its pages beside what is asked."""

    def __init__(self, page, url):
        """``page`` is a new one of Playwright's."""
        self.page, self.url, self.wrong = page, url, []
        page.on("pageerror", lambda error: self.wrong.append(f"a script failed ({error.name})"))
        page.on("response", self.look_at)

    def look_at(self, response):
        """Remember what belongs to a page and was not there."""
        own = response.url.startswith(self.url + "/")  # what others serve is not this application
        if own and response.status >= 400 and response.request.resource_type in ("script", "stylesheet"):
            path = response.url.removeprefix(self.url).partition("?")[0]
            self.wrong.append(f"{response.request.resource_type} {path} was answered with {response.status}")

    async def run(self, steps, max_s):
        """Do the steps one after the other; raises Failed."""
        self.wrong.clear()
        self.page.set_default_timeout(max_s * 1000)
        for number, step in enumerate(steps, 1):
            try:
                await self.act(step)
            except Error as error:
                # Playwright's own message shows the page.
                why = f"not within {max_s:g} s" if "Timeout" in type(error).__name__ else "not possible"
                raise Failed(f"step {number}, {step}: {why}") from error
        if self.wrong:
            raise Failed("; ".join(dict.fromkeys(self.wrong)))

    async def act(self, step):
        """One step."""
        page, place, value = self.page, step.place, step.value
        if step.action == "visit":
            answer = await page.goto(self.url + place)
            if answer is None or answer.status >= 400:
                raise Failed(f"{place} was answered with {answer.status if answer else 'nothing'}")
        elif step.action == "click":
            await page.click(place)
        elif step.action == "fill":
            await page.fill(place, str(value))
        elif step.action == "select":
            await page.select_option(place, index=value) if isinstance(value, int) else await page.select_option(
                place, label=value
            )
        elif step.action == "see":
            await page.get_by_text(place).first.wait_for(state="visible")
        elif step.action == "element":
            await page.locator(place).first.wait_for(state="visible")
        elif step.action == "contains":
            await page.locator(place).filter(has_text=value).first.wait_for(state="visible")
        elif await (page.get_by_text(place) if step.action == "absent" else page.locator(place)).count():
            raise Failed(f"{step}: it is there")


async def check_address(browser, given, target, checks, login):
    """Verdicts of one address."""
    context, url = await browser.new_context(), given["urls"][target]

    async def pass_the_gate(route):
        await route.continue_(headers={**route.request.headers, **given["headers"]})

    # Nobody else whose scripts or pictures are on a page may learn them.
    await context.route(lambda asked: asked.startswith(url + "/"), pass_the_gate)
    visit = Visit(await context.new_page(), url)
    found = []
    try:
        await visit.run(login, 10)
        refused = ""
    except Failed as failure:
        refused = f"log-in: {failure}"
    for check in checks:
        began, detail = time.monotonic(), refused
        if not refused:
            try:
                await visit.run(check.steps, check.max_s)
            except Failed as failure:
                detail = str(failure)
        picture = os.path.join(given["directory"], f"{target}-{check.file}.png")
        try:
            await visit.page.screenshot(path=picture)
            os.chmod(picture, 0o600)
        except Error:
            picture = ""  # evidence that is missing is no verdict
        told = statement(
            check.name, FAILED if detail else PASSED, detail or "as wanted", picture, f"xdg-open {picture}"
        )
        found.append({**told, "target": target, "seconds": round(time.monotonic() - began, 2)})
    await context.close()
    return found


def program(given, own):
    """Program of the browser, empty if there is none; ``own`` is where Playwright's would be."""
    if given["browser"]:
        return given["browser"] if os.path.exists(given["browser"]) else ""
    return own if os.path.exists(own) else next(filter(None, map(shutil.which, NAMES)), "")


async def look(given, plan, login):
    """Verdicts of all addresses; raises RollbackError where nothing can be looked at."""
    async with async_playwright() as playwright:
        path = program(given, playwright.chromium.executable_path)
        if not path:
            raise RollbackError("there is no browser", next_step="apt-get install chromium")
        # Chromium does not lock root up, and says so by not starting.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        try:
            browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        except Error as error:
            raise RollbackError("the browser does not start", found=path) from error
        make_private_directory(given["directory"])
        found = await asyncio.gather(
            *(check_address(browser, given, target, checks, login) for target, checks in plan.items())
        )
        await browser.close()
    return [check for checks in found for check in checks]


def planned(given, checks, reads_only):
    """Checks of each address."""
    wanted = [check for check in checks if given["after_rollback"] or not check.rollback_only]
    writes = given["writes"] and not reads_only
    return {
        target: [check for check in wanted if not check.writes or (writes and number == 0)]
        for number, target in enumerate(given["urls"])
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "urls": {"type": "dict", "required": True},
            "checks": {"type": "list", "elements": "dict", "required": True},
            "login": {"type": "list", "elements": "dict", "default": []},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "after_rollback": {"type": "bool", "default": False},
            "writes": {"type": "bool", "default": False},
            "browser": {"type": "str", "default": ""},
            "directory": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    given, skipped = module.params, ""
    unique = uuid.uuid4().hex[:8]
    try:
        checks = browser_checks.parse(given["checks"], given["secrets"], unique)
        login = browser_checks.parse_steps(given["login"], given["secrets"], unique, "validation_browser_login")
    except RollbackError as error:
        module.fail_json(msg=str(error))
    plan = planned(given, checks, module.check_mode)
    try:
        if async_playwright is None:
            raise RollbackError("Playwright is not installed", next_step="pip install playwright")
        found = asyncio.run(look(given, plan, login)) if any(plan.values()) else []
    except RollbackError as error:
        skipped = str(error)
        found = [
            {**statement(check.name, SKIPPED, skipped), "target": target, "seconds": 0}
            for target, own in plan.items()
            for check in own
        ]
    module.exit_json(changed=False, checks=found, checks_failed=failing(found), skipped=skipped)


if __name__ == "__main__":
    main()
