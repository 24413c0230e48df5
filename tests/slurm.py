"""Stand-ins for SLURM's programs: each submitted script really runs, on this machine."""

from pathlib import Path

# Every program finds its state in $FAKE_SLURM: a file for each job, holding its state.
PROGRAMS = {
    "sbatch": r"""
echo "$*" >>"$FAKE_SLURM/calls"
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
(
    if SLURM_JOB_ID=$id sh -c "$script" >"$log" 2>&1; then end=COMPLETED; else end=FAILED; fi
    echo $end >"$FAKE_SLURM/jobs/$id"
) >/dev/null 2>&1 </dev/null &
echo $id
""",
    "srun": r"""
while [ "${1#-}" != "$1" ]; do shift; done
exec "$@"
""",
    "sacct": r"""
cd "$FAKE_SLURM/jobs"
for id in *; do [ -e "$id" ] && echo "$id|$(cat "$id")"; done
exit 0
""",
    "squeue": 'exec sacct "$@"\n',
    "scancel": 'echo "$*" >>"$FAKE_SLURM/cancelled"\n',
    "scontrol": 'echo "MinJobAge = 300 sec"; echo "MaxArraySize = 1001"\n',
    "sinfo": "echo PARTITION; echo 'main*'\n",
    "sacctmgr": "echo users\n",
    "sshare": "echo users\n",
}


def install(folder: Path) -> dict[str, str]:
    """Write the programs; return what the environment needs to find them, but for PATH."""
    state = folder / "state"
    (state / "jobs").mkdir(parents=True)
    for name, body in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}")
        (folder / name).chmod(0o755)
    return {"FAKE_SLURM": str(state)}
