"""Attributes shared by the modules that only look."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment C(campaign.rollback.reads_only)."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Reads only.
    support: none
  idempotent:
    description: Reads only.
    support: full
  platform:
    description: POSIX hosts.
    platforms: posix
    support: full
"""
