"""Run the jobs of a sweep with an executor of Snakemake; `cqlib sweep --executor NAME` starts this.

All paths are relative to `--directory`, the folder of the sweep, where `.jobs.json` holds the
commands of the jobs to run. This process ends with the process of the config value `driver`.
"""

import json
import re
from pathlib import Path

from cqbook.sweeps import driver

COMMANDS = json.loads(Path(".jobs.json").read_text(encoding="utf-8"))

if workflow.is_main_process:
    driver.end_with(int(config["driver"]))


rule all:
    input:
        [f"{job}/provenance.json" for job in COMMANDS],
    message:
        "all jobs"


rule job:
    output:
        # "update" keeps the old run until the new one replaces it.
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
        # With exec the run is a child of Snakemake, so that it ends with it.
        "exec {params.command:q} --parent $PPID >{log:q} 2>&1"
