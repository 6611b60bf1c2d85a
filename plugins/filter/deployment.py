"""What all hosts together say before a deployment."""

from __future__ import annotations

from ansible_collections.campaign.rollback.plugins.module_utils import deployments
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED


def deployment_checks(hosts, hostvars, asked):
    """One row for each statement: ``{check, where, result, detail, evidence, look}``.

    ``asked`` has the ``state_host``, the ``commit`` to deploy, the name of the ``own`` lease and ``max_age_s``. A state
    host that did not answer can vouch for nothing.
    """
    facts = hostvars[asked["state_host"]]
    state = facts.get("deployment_state") or {}
    rows = [(asked["state_host"], check) for check in _of_state(state, asked)]
    point = state.get("manifest") or {}
    for host in hosts:
        answer = hostvars[host].get("deployment_found") or {}
        problems = (hostvars[host].get("run_preflight") or {}).get("problems", ["not looked at"])
        said = {**answer, "problems": problems}
        rows += [(host, check) for check in deployments.of_host(host, said, point)]
    return [_row(where, check) for where, check in rows]


def _of_state(state, asked):
    if not state:
        return [deployments.statement("state host answers", FAILED, "it does not, or failed above")]
    return deployments.of_state(state, asked["commit"], asked["own"], float(asked["max_age_s"]))


def _row(where, check):
    return {
        "check": check["name"],
        "where": where,
        "result": "FAILED" if check["verdict"] == FAILED else check["verdict"],
        "detail": check["detail"],
        "evidence": check["evidence"],
        "look": check["look"],
    }


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Name to function."""
        return {"deployment_checks": deployment_checks}
