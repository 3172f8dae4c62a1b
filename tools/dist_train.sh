#!/usr/bin/env bash
# Train on several processes, by nccl on GPUs and by gloo on CPUs.
#
#   bash tools/dist_train.sh CONFIG PROCESSES_PER_NODE [options of tools/train.py]
#
# Several nodes: run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
if [ $# -lt 2 ]; then
    echo "usage: bash $0 CONFIG PROCESSES_PER_NODE [options of tools/train.py]" >&2
    exit 2
fi
source "$(dirname "$0")/dist_run.sh" train.py "$1" "$2" "${@:3}"
