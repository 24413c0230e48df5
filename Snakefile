"""Runs jobs with an executor of Snakemake; `cqlib sweep --executor NAME` calls this with all it needs.

`jobs` names a file with the command of every job that is to run. Paths of outputs and logs are
relative to `--directory`, the folder of the sweep. `driver` is the process that ends with this one.
"""

import json
import re
from pathlib import Path

from cqbook.sweeps import driver

COMMANDS = json.loads(Path(config["jobs"]).read_text())

if workflow.is_main_process:
    driver.end_with(int(config["driver"]))


rule all:
    input:
        [f"{job}/provenance.json" for job in COMMANDS],
    message:
        "all jobs"


rule job:
    output:
        # Kept until the new run is put in place of the old.
        update("{job}/provenance.json"),
    wildcard_constraints:
        job="|".join(map(re.escape, COMMANDS)),
    log:
        "logs/{job}.log",
    params:
        command=lambda wildcards: COMMANDS[wildcards.job],
    message:
        "{wildcards.job}"
    shell:
        # exec, so that the run sees its parent go: the run ends with Snakemake.
        "exec {params.command:q} --parent $PPID >{log:q} 2>&1"
