#!/usr/bin/env bash
# Test on several processes, by nccl on GPUs and by gloo on CPUs.
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES_PER_NODE [options of tools/test.py]
#
# Several nodes: run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
source "$(dirname "$0")/dist_run.sh" test.py "$1" "$3" "$2" "${@:4}"
