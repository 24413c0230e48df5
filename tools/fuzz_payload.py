"""Fuzz the wire format with coverage-guided inputs, for as long as wanted.

Run ``python tools/fuzz_payload.py -runs=10000000 [folder]`` with ``pip install -e .[test,fuzz]``;
options are libFuzzer's, and the folder keeps inputs that reached new code. Without a folder, inputs
start from messages of all compressors, in a temporary folder. The first broken contract ends the
run. Its input is written to ``crash-...``; ``python tools/fuzz_payload.py crash-...`` repeats it.
"""

import random
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    import atheris
except ImportError:
    sys.exit("fuzz_payload: atheris is missing; install it with: pip install -e .[test,fuzz]")

import numpy as np
import torch

with atheris.instrument_imports(include=["cqlib"]):
    from cqlib import keys
    from cqlib.kernels import reference
    from cqlib.kernels.derived import rotation, subsets
    from cqlib.philox import philox4x32
    from tests import fuzzing
    from tests.cases import CASES

LIMITS = ["-timeout=10", "-rss_limit_mb=3000"]
# Short inputs leave most of a message unchanged, so that long ones are allowed from the start.
SEARCH = ["-max_len=256", "-len_control=0", "-keep_seed=1", "-reduce_inputs=0"]
# A permutation of the clients takes 100 times as long as signs, a uniform rotation even longer.
SLOW = ("PermK()", "ISCC", "uniform")


def remember_random_words() -> None:
    """Cache the calls of Philox: they take most of the time and depend on ids alone."""
    known: dict[tuple[Any, ...], Any] = {}

    def remembered(counter: Any, key: Any, **options: Any) -> Any:
        words = [np.asarray(w, dtype=np.uint64) for w in (*counter, *key)]
        if max(w.size for w in words) > 1000 or len(known) > 100_000:
            return philox4x32(counter, key, **options)
        numpy = any(isinstance(w, np.ndarray) for w in (*counter, *key))
        label = (numpy, *((w.shape, w.tobytes()) for w in words))
        if label not in known:
            known[label] = philox4x32(counter, key, **options)
        return known[label]

    for module in (keys, reference, rotation, subsets):
        module.philox4x32 = remembered


def messages() -> tuple[fuzzing.Sent, ...]:
    """Messages of all compressors but the slowest; fast ones are listed ten times."""
    found = []
    for c in CASES:
        slow = any(word in repr(c) for word in SLOW)
        if "uniform" not in repr(c):
            found += fuzzing.sent_by(c)[:: 3 if slow else 1] * (1 if slow else 10)
    return tuple(found)


def write_seeds(folder: Path, sent: tuple[fuzzing.Sent, ...]) -> None:
    """Write a few attacks of every kind on one message of each compressor."""
    rng = random.Random(1)
    seen = set()
    for which, message in enumerate(sent):
        place = which.to_bytes(2, "little")
        label = repr(message.compressor), message.d
        if label in seen:
            continue
        seen.add(label)
        mask = rng.randbytes(len(message.data))
        seeds = [
            b"\0" + place + message.data,
            b"\3" + place + message.data[:-4],
            b"\1" + place + rng.randbytes(6),
            b"\1" + place + rng.randbytes(40),
            b"\3" + place + message.data[:-4] + b"\0",
            b"\2" + place + b"\xff\0" + mask,
            b"\2" + place + rng.randbytes(2) + mask,
        ]
        for i, seed in enumerate(seeds):
            (folder / f"{which}-{i}").write_bytes(seed)


def main() -> None:
    """Run libFuzzer on all messages."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    remember_random_words()
    sent = messages()
    with tempfile.TemporaryDirectory() as seeds:
        arguments = sys.argv[1:]
        if not any(Path(a).is_file() for a in arguments):
            write_seeds(Path(seeds), sent)
            arguments.append(seeds)
        atheris.Setup(
            [sys.argv[0], *LIMITS, *SEARCH, *arguments], lambda data: fuzzing.attack(data, sent)
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
