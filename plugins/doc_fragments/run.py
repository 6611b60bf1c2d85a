"""Options shared by the modules that change something on behalf of a rollback run."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment C(campaign.rollback.run)."""

    DOCUMENTATION = r"""
options:
  run_id:
    description: Rollback run on whose behalf the change is made; its journal on this host records it first.
    type: str
    required: true
  fencing:
    description:
      - Number of the run's lease, as the module M(campaign.rollback.run_lease) returned it.
      - Refused if this host knows a newer one. Without it the change is refused wherever a run ever held a lease.
    type: int
    default: 0
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
"""
