"""Examines damaged files in processes that a crash or a hang cannot hide in."""
import json
import multiprocessing
import signal
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import av
import torch
from fuzz_damage import damaged_file
from fuzz_judge import FAULTS, Frame, examine, original_frames, samplers
from fuzz_sources import Source, make_sources
from tqdm import tqdm

_CHUNK = 250  # files a process
_LARGEST = ('peak', 'slowest')


def work(sources: Sequence[Source], originals: dict[Source, list[Frame]], seeds: Sequence[int],
         log: Path, limit: int, max_memory: int) -> None:
    """Examine files one by one; the log shows where the process ended, if it did."""
    av.logging.set_level(None)
    torch.set_num_threads(1)
    ways = samplers()
    path = log.with_suffix('.mp4')  # whatever it is: names say nothing
    with log.open('w', buffering=1) as lines:  # every line is there if the process dies
        for seed in seeds:
            line = dict(seed=seed, container='?', codec='?', damage='could not be made')
            lines.write(json.dumps(line) + '\n')
            source, way, content = damaged_file(seed, sources)
            line.update(container=source.container, codec=source.codec, damage=way)
            lines.write(json.dumps(line) + '\n')
            path.write_bytes(content)
            signal.alarm(limit)  # ends the process, also while it is in C
            counts = examine(str(path), way, source, originals[source], ways[seed % len(ways)],
                             seed, max_memory)
            signal.alarm(0)
            lines.write(json.dumps(dict(line, counts=counts)) + '\n')


def _examined(log: Path, exitcode: int) -> list[dict]:
    """Return what a process wrote, with a crash or hang as the last where it ended so.

    Some muxers abort on the packets that damage has made; that is nobody's fault here.
    """
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    done = [line for line in lines if 'counts' in line]
    if exitcode:
        assert 'counts' not in lines[-1], f'process {exitcode} ended between files'
        fault = 'hang' if exitcode == -signal.SIGALRM else 'crash'
        done.append(dict(lines[-1], counts={} if lines[-1]['container'] == '?' else {fault: 1}))
    return done


def _described(line: dict) -> str:
    faults = ', '.join(fault for fault in FAULTS if line['counts'].get(fault))
    return f'{faults}: --only {line["seed"]} ({line["codec"]} in {line["container"]}, ' \
           f'{line["damage"]})'


def _add(total: Counter, counts: dict) -> None:
    largest = {key: max(total[key], counts.get(key, 0)) for key in _LARGEST}
    total.update(files=1, **counts)
    for key, value in largest.items():
        total[key] = value


def fuzz(seeds: Sequence[int], processes: int, limit: int, max_memory: int) -> dict:
    """Examine files in processes; see fuzz_decoding.py.

    Args:
        seeds (Sequence[int]): One a file.
        processes (int): How many at a time.
        limit (int): Seconds after which reading one file counts as a hang.
        max_memory (int): Bytes that reading one file may take.

    Returns:
        dict: Counts in ``total``, by ``container`` and by ``damage``; in ``failures`` a dict of
        seed, container, codec, damage and counts for each file with which something happened
        that must not.
    """
    av.logging.set_level(None)
    sources = make_sources()
    originals = {source: original_frames(source) for source in sources}
    pending = [list(chunk) for _, chunk in groupby(seeds, key=lambda seed: seed // _CHUNK)]
    running: dict[multiprocessing.Process, tuple[Sequence[int], Path]] = {}
    result: dict = dict(total=Counter(), container={}, damage={}, failures=[])
    with tempfile.TemporaryDirectory() as folder, tqdm(
            total=len(seeds), desc='damaged files', mininterval=1) as progress:
        while pending or running:
            while pending and len(running) < processes:
                chunk = pending.pop(0)
                log = Path(folder, f'{chunk[0]}.jsonl')
                process = multiprocessing.get_context('fork').Process(
                    target=work, args=(sources, originals, chunk, log, limit, max_memory))
                process.start()
                running[process] = chunk, log
            next(iter(running)).join(0.5)
            for process in [process for process in running if process.exitcode is not None]:
                chunk, log = running.pop(process)
                done = _examined(log, process.exitcode)
                log.unlink()
                if len(done) < len(chunk):
                    pending.append(chunk[len(done):])
                progress.update(len(done))
                for line in done:
                    for total in (result['total'], *(
                            result[table].setdefault(line[table], Counter())
                            for table in ('container', 'damage'))):
                        _add(total, line['counts'])
                    if any(line['counts'].get(fault) for fault in FAULTS):
                        result['failures'].append(line)
                        progress.write(_described(line))
    return result


def keep(failures: Sequence[dict], folder: Path) -> None:
    """Write the files of failures."""
    sources = make_sources()
    folder.mkdir(parents=True, exist_ok=True)
    for line in failures:
        source, way, content = damaged_file(line['seed'], sources)
        name = f'{line["seed"]}_{source.container}_{source.codec}_{way}.mp4'.replace(' ', '-')
        (folder / name).write_bytes(content)
