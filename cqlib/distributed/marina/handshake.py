"""A check before a run starts that all processes have the same settings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch

from cqlib.distributed.collectives import Group, GroupError

_FACTS = 16  # number of digests, so that messages of all versions have the same size
_DIGEST = 16  # bytes of a digest


def agree(group: Group, facts: Mapping[str, object]) -> None:
    """Exchange digests of facts; raise unless they are equal on all processes.

    Args:
        group: the processes.
        facts: values by name, at most 15; their ``repr`` is compared.

    Raises:
        GroupError: on all processes, naming the facts that differ and the ranks that differ in them
            from rank 0.
        ValueError: if there are more than 15 facts.
    """
    if len(facts) >= _FACTS:
        raise ValueError(f"at most {_FACTS - 1} facts can be compared, got {len(facts)}")
    texts = ["\n".join(facts), *map(repr, facts.values())]
    texts += [""] * (_FACTS - len(texts))
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:_DIGEST] for text in texts)
    own = torch.from_numpy(np.frombuffer(digests, dtype=np.uint8).copy())
    all_digests = group.all_gather(own).reshape(group.size, _FACTS, _DIGEST)
    different = (all_digests != all_digests[0]).any(dim=2)
    if not bool(different.any()):
        return
    if bool(different[:, 0].any()):
        ranks = _listed(different[:, 0])
        raise GroupError(
            f"the facts of {ranks} have other names than those of rank 0: is it another version?"
        )
    said = []
    for k, (name, value) in enumerate(facts.items(), start=1):
        if bool(different[:, k].any()):
            ranks = _listed(different[:, k])
            said.append(f"{name} ({ranks} unlike rank 0; rank {group.rank} has {value!r})")
    raise GroupError("the processes do not agree on " + ", ".join(said))


def _listed(which: torch.Tensor) -> str:
    ranks = which.nonzero()[:, 0].tolist()
    return ("rank " if len(ranks) == 1 else "ranks ") + ", ".join(map(str, ranks))
