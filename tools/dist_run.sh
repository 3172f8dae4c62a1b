# Sourced by dist_train.sh, dist_test.sh and dist_search.sh: SCRIPT CONFIG PROCESSES [ARGUMENTS]
set -euo pipefail
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SCRIPT=$1 CONFIG=$2 PROCESSES=$3
shift 3

# The active environment's Python, or the one that `make setup` made where that has no MMEngine.
PYTHON=${PYTHON:-python}
has_mmengine='import importlib.util as u, sys; sys.exit(u.find_spec("mmengine") is None)'
if ! "$PYTHON" -c "$has_mmengine" 2>/dev/null && [ -x "$TOOLS/../.venv/bin/python" ]; then
    PYTHON=$TOOLS/../.venv/bin/python
fi

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec "$PYTHON" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$TOOLS/$SCRIPT" "$CONFIG" "$@" --launcher pytorch
