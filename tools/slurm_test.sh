#!/usr/bin/env bash
# Test under Slurm, on GPUs.
#
#   GPUS=8 bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG [CHECKPOINT] [options of tools/test.py]
#
# Without a checkpoint the CLIP weights are evaluated. GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5)
# and SRUN_ARGS can be set.
if [ $# -lt 3 ]; then
    echo "usage: bash $0 PARTITION JOB_NAME CONFIG [CHECKPOINT] [options of tools/test.py]" >&2
    exit 2
fi
source "$(dirname "$0")/slurm_run.sh" test.py "$@"
