"""One thread a process."""

import subprocess
import sys


def test_libraries_have_one_thread_whenever_they_are_loaded() -> None:
    code = (
        "import numpy, torch, threadpoolctl\n"
        "from cqbook.threads import one_thread\n"
        "one_thread()\n"
        "import scipy.linalg\n"  # has a BLAS of its own
        "found = threadpoolctl.threadpool_info()\n"
        "print([pool['num_threads'] for pool in found], torch.get_num_threads())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    counts, of_torch = done.stdout.rsplit(maxsplit=1)
    assert of_torch == "1" and "1" in counts
    assert set(counts) <= set("[1, ]"), counts
