#!/usr/bin/env bash
# Index videos by several processes, on several nodes into a store by address.
#
#   bash tools/dist_search.sh index FOLDER... --index FILE [options of tools/search.py] PROCESSES_PER_NODE
#   bash tools/dist_search.sh index FOLDER... --store http://HOST:19530/COLLECTION [options] PROCESSES_PER_NODE
#
# Each process reads the files that a digest of their path gives it. Several nodes: run it on each with NNODES,
# NODE_RANK, MASTER_ADDR and PORT set, the folders under the same paths everywhere.
if [ $# -lt 5 ] || [ "$1" != index ] || ! [[ ${!#} =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: bash $0 index FOLDER... --index FILE | --store ADDRESS [options of tools/search.py] PROCESSES_PER_NODE" >&2
    exit 2
fi
source "$(dirname "$0")/dist_run.sh" search.py index "${!#}" "${@:2:$#-2}"
