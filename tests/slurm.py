"""Fake SLURM programs: a submitted script runs on this machine until it is cancelled."""

import os
from pathlib import Path

# The programs share the folder $FAKE_SLURM. Each job has a file with its state in jobs/, and one
# with its process group in groups/.
PROGRAMS = {
    "sbatch": r"""
while [ $# -gt 0 ]; do
    case $1 in
    --wrap=*) script=${1#--wrap=} ;;
    --output) log=$2 ;;
    esac
    shift
done
id=$$
echo RUNNING >"$FAKE_SLURM/jobs/$id"
log=$(echo "$log" | sed "s/%j/$id/")
set -m # the job leads a group of its own, as if it ran elsewhere
(
    if SLURM_JOB_ID=$id sh -c "$script" >"$log" 2>&1; then end=COMPLETED; else end=FAILED; fi
    echo $end >"$FAKE_SLURM/jobs/$id"
) >/dev/null 2>&1 </dev/null &
echo $! >"$FAKE_SLURM/groups/$id"
echo $id
""",
    "srun": r"""
while [ "${1#-}" != "$1" ]; do shift; done
exec "$@"
""",
    "sacct": r"""
case $* in *Account* | *Reason*) exit 0 ;; esac
cd "$FAKE_SLURM/jobs"
# Who asks too early would have to wait ever longer; after a minute they give a job up.
while [ $SECONDS -lt 20 ] && grep -qsx RUNNING *; do sleep 0.1; done
for id in *; do [ -e "$id" ] && echo "$id|$(cat "$id")"; done
exit 0
""",
    "squeue": 'exec sacct "$@"\n',
    "scancel": r"""
for id in "$@"; do
    [ -e "$FAKE_SLURM/jobs/$id" ] || continue
    kill -TERM -- "-$(cat "$FAKE_SLURM/groups/$id")"
    echo CANCELLED >"$FAKE_SLURM/jobs/$id"
done
""",
    "scontrol": 'echo "MinJobAge = 300 sec"; echo "MaxArraySize = 1001"\n',
    "sinfo": "echo PARTITION; echo 'main*'\n",
    "sacctmgr": "echo users\n",
    "sshare": "echo users\n",
}


def install(folder: Path) -> dict[str, str]:
    """Write the programs; return the environment variables for them."""
    state = folder / "state"
    for part in ("jobs", "groups"):
        (state / part).mkdir(parents=True)
    for name, body in PROGRAMS.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{body}")
        (folder / name).chmod(0o755)
    return {"FAKE_SLURM": str(state), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def states(folder: Path) -> list[str]:
    """Return the states of all jobs, sorted."""
    return sorted(file.read_text().strip() for file in (folder / "state" / "jobs").iterdir())
