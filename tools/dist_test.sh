#!/usr/bin/env bash
# Test on several processes, by nccl on GPUs and by gloo on CPUs.
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES_PER_NODE [options of tools/test.py]
#   bash tools/dist_test.sh CONFIG PROCESSES_PER_NODE [options of tools/test.py]    (CLIP weights)
#
# Several nodes: run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
if [[ ${2:-} =~ ^[0-9]+$ ]]; then
    source "$(dirname "$0")/dist_run.sh" test.py "$1" "$2" "${@:3}"
elif [[ ${3:-} =~ ^[0-9]+$ ]]; then
    source "$(dirname "$0")/dist_run.sh" test.py "$1" "$3" "$2" "${@:4}"
else
    echo "usage: bash $0 CONFIG [CHECKPOINT] PROCESSES_PER_NODE [options of tools/test.py]" >&2
    exit 2
fi
