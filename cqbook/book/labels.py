"""Names of the anchors in the ledger and the chapters."""

from __future__ import annotations

import re


def claim_label(id: str) -> str:
    """Return the anchor of an item on the ledger page.

    >>> claim_label("appendix-b.1")
    'claim-appendix-b-1'
    """
    return f"claim-{id.replace('.', '-')}"


def evidence_label(id: str, notebook: str) -> str:
    """Return the anchor of the notebook cell with evidence on an item.

    >>> evidence_label("theorem-1", "theory/marina")
    'evidence-theorem-1-theory-marina'
    """
    return re.sub(r"[^a-z0-9]+", "-", f"evidence-{id}-{notebook}")  # as Sphinx normalizes it
