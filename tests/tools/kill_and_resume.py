"""Kill training at random moments, resume it, and compare with a run that nobody killed.

    python -m tests.tools.kill_and_resume [--kills 60]

Half of the kills come at any moment of a run, half while a checkpoint is being written. Only the
newest checkpoint is kept (max_keep_ckpts=1).
"""
import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
from mmengine.runner import Runner
from tqdm import tqdm

from ..tiny import run_config, write_dataset

EPOCHS = 5


def train(data, work_dir):
    """Train in this process, resuming where there is something to resume from."""
    config = run_config(data, work_dir, epochs=EPOCHS, resume=True, log_level='ERROR')
    config.default_hooks.checkpoint.max_keep_ckpts = 1
    config.experiment_name = f'{Path(work_dir).name}_{os.getpid()}'
    Runner.from_cfg(config).train()


def start(data, work_dir):
    """Train in a process of its own; return its id. Imports are done once, before."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            log = os.open(f'{work_dir}.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            train(data, work_dir)
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def ended(child):
    """Return the exit code of a process, None while it runs."""
    found, status = os.waitpid(child, os.WNOHANG)
    return None if found == 0 else os.waitstatus_to_exitcode(status)


def kill_once(child, work_dir, whole_run, rng):
    """Kill a run at a random moment; return its exit code, and whether it was writing."""
    in_write = rng.random() < 0.5
    limit = time.time() + rng.uniform(0, whole_run)
    while True:
        code = ended(child)
        if code is not None:
            return code, False
        writing = list(Path(work_dir).glob('*.pth.*.partial'))
        if in_write and writing:
            time.sleep(rng.uniform(0, 0.03))
            break
        if not in_write and time.time() > limit:
            break
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), bool(list(Path(work_dir).glob('*.partial')))


def outcome(work_dir):
    """What has to be the same: weights, optimizer, figures, and the files that are kept."""
    checkpoint = torch.load(Path(work_dir, f'epoch_{EPOCHS}.pth'))
    return dict(state=checkpoint['state_dict'], optimizer=checkpoint['optimizer'],
                schedulers=checkpoint['param_schedulers'],
                figures=json.loads(Path(work_dir, 'best_and_last.json').read_text()),
                validations=json.loads(Path(work_dir, 'validations.json').read_text()),
                files=sorted(path.name for path in Path(work_dir).glob('*.pth*')))


def same(a, b):
    """Compare nested values, tensors bit by bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def run(folder, num_kills, seed=0):
    """Kill and resume until there were enough kills and the last run came to its end.

    Returns:
        dict: Counts; ``different`` names what differs from the run that nobody killed.
    """
    torch.set_num_threads(1)
    rng = random.Random(seed)
    data = folder / 'data'
    write_dataset(data)
    begun = time.time()
    reference_process = start(data, folder / 'reference')
    _, status = os.waitpid(reference_process, 0)
    whole_run = time.time() - begun
    log = Path(f'{folder}/reference.log')
    assert status == 0, log.read_text()
    reference = outcome(folder / 'reference')
    counts = dict(kills=0, while_writing=0, runs=0, failed=0, different=[])
    with tqdm(total=num_kills, desc='kills', disable=num_kills < 20) as progress:
        while counts['kills'] < num_kills:
            work_dir, code = folder / f'run{counts["runs"]}', None
            while code != 0:
                child = start(data, work_dir)
                if counts['kills'] < num_kills:
                    code, writing = kill_once(child, work_dir, whole_run, rng)
                else:
                    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                    writing = False
                if code == -signal.SIGKILL:
                    counts['kills'] += 1
                    counts['while_writing'] += writing
                    progress.update()
                elif code:
                    counts['failed'] += 1
                    print(Path(f'{work_dir}.log').read_text()[-3000:], file=sys.stderr)
                    break
            counts['runs'] += 1
            if code == 0:
                result = outcome(work_dir)
                counts['different'] += [f'{work_dir.name}: {key}' for key in reference
                                        if not same(result[key], reference[key])]
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=60, help='default 60')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = run(Path(folder), args.kills, args.seed)
    print(counts)
    return int(bool(counts['failed'] or counts['different']))


if __name__ == '__main__':
    sys.exit(main())
