"""Measure indexing and queries.

    python tools/analysis_tools/benchmark_search.py indexing FOLDER --config C [--checkpoint K]
    python tools/analysis_tools/benchmark_search.py queries --clips 1000 100000
    python tools/analysis_tools/benchmark_search.py store --store http://HOST:19530/NEW
    python tools/analysis_tools/benchmark_search.py long --hours 3
    python tools/analysis_tools/benchmark_search.py scan --files 100000

indexing: seconds of video a second, beside decoding alone and the model alone, and the least cosine
of vectors in bfloat16 with those in float32. queries: time, memory and bytes of made vectors of
width 1,024, beside faiss's flat index where faiss is installed. store: the same in Milvus. long:
memory while a made video of some hours is indexed. scan: time to find that made files have not
changed.
"""
from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, add_cfg_options, non_negative_float, positive_int, run

# Waiting threads of the model that spin would take the time of the processes that decode.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from mmc2v.search import VideoSearch
    from mmc2v.search.approximate import ApproximateIndex
    from mmc2v.search.clips import IndexedClips
    from mmc2v.search.nearest import Vectors
    from mmc2v.search.records import Stat
    from mmc2v.search.workers import VideoWorkers

WIDTH, CLIPS_A_FILE = 1024, 12


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    commands = parser.add_subparsers(dest='command', required=True, parser_class=Parser,
                                     help='what to measure; each has a --help of its own')
    indexing = commands.add_parser('indexing', help='speed of indexing',
                                   description='Measure speed of indexing.')
    indexing.add_argument('folder', help='folder of videos')
    indexing.add_argument('--config', required=True, help='config of the model')
    indexing.add_argument('--checkpoint', help='its checkpoint; default random weights')
    indexing.add_argument('--window', type=non_negative_float, default=10.0,
                          help='seconds of a clip; default 10')
    indexing.add_argument('--workers', type=positive_int, default=os.cpu_count(),
                          help='processes that decode; default one a core')
    indexing.add_argument('--precision', choices=['float32', 'bfloat16'], default='float32',
                          help='of the towers; default float32')
    add_cfg_options(indexing)
    queries = commands.add_parser('queries', help='speed of queries',
                                   description='Measure speed of queries.')
    queries.add_argument('--clips', type=positive_int, nargs='+', default=[1000, 100000],
                         help='sizes of the index; default 1000 100000')
    queries.add_argument('--queries', type=positive_int, default=200, help='default 200')
    store = commands.add_parser('store', help='a store by address',
                                description='Measure writing into Milvus and asking it, beside '
                                'exact search in memory.')
    store.add_argument('--store', required=True, help='http://HOST:19530/COLLECTION, a new one, '
                       'which is deleted at the end')
    store.add_argument('--clips', type=positive_int, nargs='+', default=[10_000, 100_000],
                       help='clips to measure with; default 10,000 and 100,000')
    store.add_argument('--queries', type=positive_int, default=100, help='default 100')
    long = commands.add_parser('long', help='memory of a long video',
                                   description='Measure memory of a long video.')
    long.add_argument('--hours', type=non_negative_float, default=3.0, help='default 3')
    scan = commands.add_parser('scan', help='time of a run that has nothing to do',
                                   description='Measure time of a run that has nothing to do.')
    scan.add_argument('--files', type=positive_int, default=100000, help='default 100000')
    return parser.parse_args()


def percentiles(seconds: list[float]) -> str:
    """Return the median and the 99th percentile in milliseconds."""
    import numpy as np
    return ' '.join(f'{name} {np.percentile(seconds, q) * 1e3:.1f} ms'
                    for name, q in (('p50', 50), ('p99', 99)))


def memory() -> float:
    """Return the most MiB that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def workers_memory() -> float:
    """Return the most MiB that a process which decodes has had."""
    import re
    from multiprocessing import active_children
    statuses = [Path(f'/proc/{child.pid}/status').read_text() for child in active_children()]
    return max(int(re.search(r'VmHWM:\s*(\d+)', status)[1]) / 1024 for status in statuses)


def random_checkpoint(args: argparse.Namespace, folder: str) -> str:
    """Write random weights for the config."""
    import torch

    from mmc2v.config_reading import read_config
    from mmc2v.registry import MODELS
    torch.manual_seed(0)
    path = str(Path(folder, 'random.pth'))
    torch.save(MODELS.build(read_config(args.config, args.cfg_options).model).state_dict(), path)
    return path


def decode_alone(workers: VideoWorkers, files: dict[str, Stat]) -> tuple[dict[str, list], float]:
    """Read files; return what came of each, and seconds."""
    start, todo = time.perf_counter(), list(files)
    read: dict[str, list] = {path: [] for path in files}
    while todo or workers.busy:
        while todo and workers.idle:
            path = todo.pop()
            workers.begin(path, files[path].size)
        for path, message in workers.messages():
            if isinstance(message, bytes):
                workers.decide(path, True)
            read[path].append(message)
    return read, time.perf_counter() - start


def encode_alone(model: nn.Module, read: dict[str, list], num_frames: int) -> tuple[float, float]:
    """Encode what was read; return seconds of video, and seconds."""
    from mmc2v.search.encoder import ClipEncoder
    from mmc2v.search.frames import Clips, Part
    start, duration = time.perf_counter(), 0.0
    for messages in read.values():
        clips = next(message for message in messages if isinstance(message, Clips))
        duration += clips.duration
        encoder = ClipEncoder(model, clips.frames, num_frames)
        for message in messages:
            if isinstance(message, Part):
                encoder.add(message.numbers, message.images)
        encoder.finish()
    return duration, time.perf_counter() - start


def least_cosine(first: VideoSearch, second: VideoSearch) -> float:
    """Return the least cosine of the vectors of two indexes of the same files."""
    import numpy as np
    a, b = (np.concatenate([content.vectors for _, content in sorted(
        search.store.contents(), key=lambda item: item[1].digest)]).astype(np.float32)
        for search in (first, second))
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def measure_indexing(args: argparse.Namespace) -> None:
    """Decode alone, run the model alone, and index."""
    import torch

    from mmc2v.search import VideoSearch
    from mmc2v.search.frames import ClipFrames
    from mmc2v.search.scan import find_changes
    from mmc2v.search.workers import VideoWorkers

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or random_checkpoint(args, folder)
        search, other = (VideoSearch(
            Path(folder, precision), args.config, checkpoint, window=args.window,
            precision=precision, cfg_options=args.cfg_options)
            for precision in (args.precision, {'float32': 'bfloat16', 'bfloat16': 'float32'}[
                args.precision]))
        settings = search.settings
        how = settings['pipeline'], settings['window'], settings['stride']
        files = find_changes([os.path.abspath(args.folder)], {}).new
        with VideoWorkers(args.workers, *how) as workers:
            decode_alone(workers, files)  # the first time also starts the processes
            read, decoding = decode_alone(workers, files)
        duration, encoding = encode_alone(search.model.model, read, ClipFrames(*how).num_frames)
        read.clear()
        whole = search.add(args.folder, workers=args.workers).seconds
        print(f'{len(files)} files, {duration / 60:.1f} min of video, {args.workers} workers, '
              f'{torch.get_num_threads()} threads, {args.precision}; seconds of video a second:')
        for name, seconds in (('decoding alone', decoding), ('model alone', encoding),
                              ('indexing', whole)):
            print(f'  {name:15} {duration / seconds:8.1f}')
        print(f'indexing is {max(decoding, encoding) / whole:.2f} of the slower of both, and '
              f'{(decoding + encoding) / whole:.2f} of both by turns')
        other.add(args.folder, workers=args.workers)
        print(f'least cosine of bfloat16 with float32: {least_cosine(search, other):.5f}')


def made_index(path: Path, clips: int) -> None:
    """Write an index of clustered unit vectors."""
    import numpy as np

    from mmc2v.search.records import Content, Stat
    from mmc2v.search.store import IndexStore
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((1000, WIDTH), np.float32)
    spans = np.stack([np.arange(CLIPS_A_FILE) * 5.0, np.arange(CLIPS_A_FILE) * 5.0 + 10], axis=1)
    store = IndexStore(path, create=True)
    store.set(dict(name='none', model={}, pipeline=[], checkpoint=None, weights='',
                   precision='float32', window=10.0, stride=5.0, width=WIDTH))
    with store.transaction():
        for number in range(-(-clips // CLIPS_A_FILE)):
            vectors = centres[rng.integers(1000)] + 0.7 * rng.standard_normal(
                (CLIPS_A_FILE, WIDTH), np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            content = Content(number.to_bytes(32, 'big'), 65.0, spans, vectors.astype(np.float16))
            store.insert(f'/videos/of/someone/{number:07d}.mp4', Stat(1, 1), content)
    store.close()


def measure_queries(args: argparse.Namespace) -> None:
    """Ask made indexes for made vectors."""
    import numpy as np

    from mmc2v.search import VideoSearch
    for clips in args.clips:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'index')
            made_index(path, clips)
            size, before = path.stat().st_size, memory()
            start = time.perf_counter()
            search = VideoSearch(path)
            table = search.load()
            opening, count = time.perf_counter() - start, len(table.vectors)
            print(f'{count} clips: opened in {opening:.2f} s; {size / count:.0f} bytes a clip, '
                  f'{size / (2 * WIDTH * count):.3f} of the vectors; {memory() - before:.0f} MiB')
            rng = np.random.default_rng(1)
            rows = table.vectors.rows(rng.integers(0, count, args.queries))
            queries = rows + 0.02 * rng.standard_normal(rows.shape).astype(np.float32)
            best = measure_exact(table, queries)
            measure_approximate(search, table, queries, best, Path(folder))


def measure_store(args: argparse.Namespace) -> None:
    """Write made clips into Milvus, and ask it what exact search is asked."""
    import numpy as np

    from mmc2v.search.clips import IndexedClips, Wanted
    from mmc2v.search.milvus_clips import MilvusClips
    from mmc2v.search.records import Stat
    from mmc2v.search.store import IndexStore
    from mmc2v.search.stores import delete, open_store
    for clips in args.clips:
        with tempfile.TemporaryDirectory() as folder:
            made_index(Path(folder, 'index'), clips)
            file, store = IndexStore(Path(folder, 'index')), open_store(args.store, create=True)
            store.set({**file.settings, 'roots': ['/videos']})
            start, written = time.perf_counter(), 0
            for number, content in file.contents():
                store.add(f'/videos/{number:07d}.mp4', Stat(1, 1), content)
                written += 1
            writing, start = time.perf_counter() - start, time.perf_counter()
            store.settle()
            settling, start = time.perf_counter() - start, time.perf_counter()
            store.finish()
            print(f'{clips} clips: {1000 * writing / written:.1f} ms a file of {CLIPS_A_FILE}, '
                  f'{clips / writing:.0f} clips/s; counted in {settling:.1f} s, finished in '
                  f'{time.perf_counter() - start:.1f} s')
            wait_for_index(args.store)
            table, reader = IndexedClips(file, in_memory=True), MilvusClips(open_store(args.store))
            rng = np.random.default_rng(1)
            rows = table.vectors.rows(rng.integers(0, len(table.vectors), args.queries))
            start = time.perf_counter()
            reader.scored(rows[0], Wanted())
            print(f'  first query           {time.perf_counter() - start:.2f} s')
            exact = ask_clips('exact, in memory', table, rows)
            ask_clips('Milvus', reader, rows, exact)
            delete(args.store)


def wait_for_index(address: str) -> None:
    """Wait until Milvus has made its index; before that it searches by a coarse one."""
    from pymilvus import MilvusClient

    from mmc2v.search.milvus_connection import parse_address
    start, place = time.perf_counter(), parse_address(address)
    client = MilvusClient(place.uri, db_name=place.database)
    while True:
        found = client.describe_index(place.name, 'vector')
        if found['pending_index_rows'] == 0 and found['indexed_rows'] > 0:
            break
        time.sleep(1)
    print(f'  index made            {time.perf_counter() - start:.0f} s later')
    time.sleep(10)  # until it is used


def ask_clips(name: str, clips: Any, queries: np.ndarray, exact: Sequence[set] = ()) -> list[set]:
    """Ask for the ten best of each query, and return them."""
    import numpy as np

    from mmc2v.search.clips import Wanted
    times, best = [], []
    for query in queries:
        start = time.perf_counter()
        scored = clips.scored(query, Wanted())
        times.append(time.perf_counter() - start)
        order = np.argsort(-scored.scores)[:10]
        best.append({(scored.contents[video].digest, clip) for video, clip in zip(
            scored.videos[order].tolist(), scored.numbers[order].tolist())})
    recall = np.mean([len(one & other) / 10 for one, other in zip(exact or best, best)])
    print(f'  {name:21} {percentiles(times)}, recall@10 {recall:.3f}')
    return best


def measure_exact(table: IndexedClips, queries: np.ndarray) -> list[set]:
    """Ask exactly, by turns with faiss's flat index; return the ten best of each query."""
    import numpy as np

    from mmc2v.search.ranking import rank_moments
    flat = flat_index(table.vectors)
    ours, theirs, best, hits = [], [], [], 0
    for query in queries:
        start = time.perf_counter()
        scores = table.vectors.scores(query)
        rank_moments(scores, table.videos, table.spans)
        ours.append(time.perf_counter() - start)
        best.append(set(np.argpartition(-scores, 10)[:10].tolist()))
        if flat is not None:
            start = time.perf_counter()
            _, found = flat.search(query[None], 10)
            theirs.append(time.perf_counter() - start)
            hits += len(best[-1] & set(found[0].tolist()))
    print(f'  exact                 {percentiles(ours)}')
    if flat is not None:
        print(f'  faiss Flat            {percentiles(theirs)}, of our 10 best it has '
              f'{100 * hits / (10 * len(best)):.1f} %')
    return best


def flat_index(vectors: Vectors) -> Any:
    """Return faiss's flat index of vectors, None where faiss is not installed."""
    import numpy as np
    try:
        import faiss
    except ImportError:
        print('  faiss is not installed: pip install faiss-cpu')
        return None
    index = faiss.IndexFlatIP(WIDTH)
    for start in range(0, len(vectors), 65536):
        index.add(vectors.rows(np.arange(start, min(start + 65536, len(vectors)))))
    return index


def measure_approximate(search: VideoSearch, table: IndexedClips, queries: np.ndarray,
                        best: list[set], folder: Path) -> None:
    """Make the file for approximate search, and ask it the same."""
    from mmc2v.search import approximate
    from mmc2v.search.clips import IndexedClips
    path = str(folder / 'made.ann')
    start = time.perf_counter()
    try:
        made = approximate.build(path, search.store.state, table.vectors, queries[:20])
    except ImportError:
        return
    building, start = time.perf_counter() - start, time.perf_counter()
    index = approximate.read(path, search.store.state, len(table.vectors))
    opening = time.perf_counter() - start
    print(f'  approximate           made in {building:.0f} s, {made["cells"]} cells, '
          f'{made["probes"]} read, {os.path.getsize(path) / len(table.vectors):.0f} bytes a clip, '
          f'opened in {opening:.1f} s')
    ask_approximate('vectors in memory', index, table, queries, best)
    start = time.perf_counter()
    outside = IndexedClips(search.store, in_memory=False)
    print(f'  without vectors in memory opened in {time.perf_counter() - start:.2f} s')
    ask_approximate('vectors on disk', index, outside, queries, best)


def ask_approximate(name: str, index: ApproximateIndex, table: IndexedClips, queries: np.ndarray,
                    best: list[set]) -> None:
    """Ask the file for approximate search."""
    import numpy as np

    from mmc2v.search.ranking import rank_moments
    times, hits = [], 0
    for query, expected in zip(queries, best):
        start = time.perf_counter()
        rows = index.candidates(query)
        scores = table.vectors.rows(rows) @ query
        sample = table.sample @ query
        rank_moments(scores, table.videos[rows], table.spans[rows], sample=sample)
        times.append(time.perf_counter() - start)
        hits += len(expected & set(rows[np.argsort(-scores)[:10]].tolist()))
    print(f'  {name:21} {percentiles(times)}, recall@10 {hits / (10 * len(best)):.3f}')


def write_long(path: Path, hours: float) -> None:
    """Write a video of moving texture, 320 x 180 at 25 frames a second."""
    import av
    import numpy as np
    texture = np.random.default_rng(0).integers(0, 256, (180, 640, 3), dtype=np.uint8)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=25, options={
            'preset': 'ultrafast', 'g': '250', 'crf': '30'})
        stream.width, stream.height = 320, 180
        for number in range(round(hours * 3600 * 25)):
            image = np.ascontiguousarray(texture[:, number % 320:number % 320 + 320])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())


def measure_long(args: argparse.Namespace) -> None:
    """Index a minute and some hours by a small model; report memory."""
    from mmc2v.search import VideoSearch
    args.config, args.cfg_options = 'mmc2v::clip2video_moving_shapes.py', []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, most = random_checkpoint(args, folder), []
        for name, hours in (('short', 1 / 60), ('long', args.hours)):
            path = Path(folder, f'{name}.mp4')
            write_long(path, hours)
            with VideoSearch(Path(folder, 'index'), args.config, checkpoint) as search:
                report = search.add(path, workers=1, watch=lambda *args: most.append(
                    workers_memory()))
            print(f'{hours:.2f} h, {path.stat().st_size / 1e6:.0f} MB: {report.seconds:.0f} s; '
                  f'most memory so far: this process {memory():.0f} MiB, the worker '
                  f'{most[-1]:.0f} MiB', flush=True)


def measure_scan(args: argparse.Namespace) -> None:
    """Run over made files that the index knows."""
    from mmc2v.search.scan import find_changes, stat_of
    from mmc2v.search.store import IndexStore
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder, 'videos')
        store = IndexStore(Path(folder, 'index'), create=True)
        with store.transaction():
            for number in range(args.files):
                path = videos / f'{number // 1000}' / f'{number}.mp4'
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                store._put(str(path), stat_of(str(path)), None, 'made')
        start = time.perf_counter()
        changes = find_changes([str(videos)], store.files())
        assert changes.same == args.files
        print(f'{args.files} unchanged files: {time.perf_counter() - start:.2f} s')


def main() -> None:
    """Measure what the command line says."""
    args = parse_args()
    {'indexing': measure_indexing, 'queries': measure_queries, 'store': measure_store,
     'long': measure_long, 'scan': measure_scan}[args.command](args)


if __name__ == '__main__':
    run(main)
