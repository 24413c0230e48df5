"""Runs a batch: every job is one `cqlib run`. `cqlib sweep` calls this with all it needs; by hand:

    snakemake --cores 2 --directory runs/sweeps/NAME --config sweep=/path/to/sweeps/NAME.yml
    snakemake --cores 2 --directory runs/PROFILE --config profile=PROFILE

Paths of outputs are relative to that directory.
"""

import re

from cqbook.runs import provenance
from cqbook.sweeps import batch, sweep

PLAN = sweep.planned(config)
NOW = provenance.Snapshot()

if workflow.is_main_process:
    batch.end_with_driver()


rule all:
    input:
        [file for task in PLAN.tasks.values() for file in batch.outputs(task)],
    message:
        "all jobs"


# One rule for each notebook, since the name of the executed notebook has no wildcard.
for notebook, names in batch.by_notebook(PLAN).items():

    rule:
        name:
            batch.rule_name(notebook)
        output:
            # Kept until `cqlib run` has put the new run in place of the old.
            update("{job}/" + notebook.rpartition("/")[2] + ".ipynb"),
            update("{job}/provenance.json"),
        wildcard_constraints:
            job="|".join(map(re.escape, names)),
        log:
            "logs/{job}.log",
        params:
            # Of code, notebook, parameters, data and versions: content, never times.
            key=lambda wildcards: batch.key(PLAN.tasks[wildcards.job], NOW),
            command=lambda wildcards: batch.command(PLAN.tasks[wildcards.job]),
        message:
            "{wildcards.job}"
        shell:
            # exec, so that the run sees its parent go: the run ends with Snakemake.
            "exec {params.command:q} --parent $PPID >{log:q} 2>&1"
