"""Text members that differ between the wheels of one release, made into one text that is right for all.

Pure functions: the result depends on neither the order of the variants nor anything outside them.
"""

from wheelfuse.fuse.reconcile.entry_points import reconcile_entry_points
from wheelfuse.fuse.reconcile.lines import reconcile_lines
from wheelfuse.fuse.reconcile.metadata import reconcile_metadata
from wheelfuse.fuse.reconcile.summary import unified_summary
from wheelfuse.fuse.reconcile.variant import Reconciled, Variant

__all__ = [
    "Reconciled",
    "Variant",
    "reconcile_entry_points",
    "reconcile_lines",
    "reconcile_metadata",
    "unified_summary",
]
