"""Make the moving-shapes data, train configs on them, test them, and search by the first.

    python tools/demo.py --out work_dirs/demo configs/clip2video_moving_shapes.py

Every step is a command that can be run by hand; it is printed before it runs.
"""
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from command_line import Parser
from command_line import run as run_tool

TOOLS = Path(__file__).resolve().parent


def run(script: str, *args: str) -> float:
    """Run a script of this folder, showing its output; return the seconds it took."""
    command = [sys.executable, str(TOOLS / script), *args]
    print('\n$ python', shlex.join([os.path.relpath(command[1]), *args]), flush=True)
    start = time.time()
    # Waiting threads that spin would take the time of the workers that decode.
    subprocess.run(command, check=True, env={'OMP_WAIT_POLICY': 'PASSIVE', **os.environ})
    return round(time.time() - start, 1)


def blind_bound(num_queries: int) -> str:
    """Say what a model blind to time can reach on the test videos."""
    error = 100 * (0.25 / num_queries) ** 0.5
    return (f'A model blind to time cannot tell a video from its reversed twin: at most 50.0 '
            f'R@1 expected,\n{50 + 3 * error:.1f} with three standard errors at {num_queries} '
            'queries. pair R@1 counts either twin.')


def train_and_test(config: str, out: Path, seconds: dict[str, float]) -> dict[str, float]:
    """Train and test one config; return its metrics."""
    from mmengine.runner import find_latest_checkpoint

    name = Path(config).stem
    work_dir = out / name
    seconds[f'{name}/train'] = run('train.py', config, '--work-dir', str(work_dir))
    checkpoint = find_latest_checkpoint(str(work_dir))
    seconds[f'{name}/test'] = run(
        'test.py', config, checkpoint, '--work-dir', str(work_dir / 'test'),
        '--show-dir', str(work_dir), '--out', str(work_dir / 'metrics.json'))
    return json.loads((work_dir / 'metrics.json').read_text())


def search(config: str, out: Path, seconds: dict[str, float]) -> None:
    """Index long videos by a model, and ask for three moments of one of them."""
    from mmengine.runner import find_latest_checkpoint

    videos, index = 'data/long_moving_shapes', out / 'demo.index'
    seconds['long videos'] = run('dataset_converters/make_moving_shapes.py', '--long', '--out',
                                 videos)
    seconds['search/index'] = run(
        'search.py', 'index', videos, '--index', str(index), '--rebuild', '--config', config,
        '--checkpoint', find_latest_checkpoint(str(out / Path(config).stem)), '--window', '1.6')
    name, moments = next(iter(json.loads(Path(videos, 'moments.json').read_text()).items()))
    for number, moment in enumerate(moments[:3]):
        run('search.py', 'query', moment['caption'], '--index', str(index), '--top', '3', '--show',
            str(out / f'hits{number + 1}.png'))
        print(f'it is in {name}, {moment["start"]:.1f} s to {moment["end"]:.1f} s')


def summary(results: dict[str, dict[str, float]], out: Path) -> list[str]:
    """Return the last lines: tables, the bound, and where things lie."""
    from mmengine.runner import find_latest_checkpoint

    from mmc2v.evaluation import format_table
    from mmc2v.synthetic.moving_events import MovingShapes

    lines = ['']
    for name, metrics in results.items():
        lines += [name, format_table(metrics), '']
    lines += [blind_bound(2 * MovingShapes.num_test_pairs), '']
    for name in results:
        work_dir = out / name
        checkpoint = find_latest_checkpoint(str(work_dir))
        log = max(work_dir.glob('*/*.log'))
        lines += [f'checkpoint  {os.path.relpath(checkpoint)}', f'log         {log}',
                  f'picture     {work_dir / "retrieval.png"}']
    return [*lines, f'results     {out / "results.json"}']


def main() -> None:
    """Run everything in order."""
    parser = Parser(__doc__)
    parser.add_argument('configs', nargs='+', help='configs on moving shapes')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/demo'),
                        help='folder of checkpoints, logs, pictures and results; default '
                        'work_dirs/demo')
    args = parser.parse_args()
    from mmc2v.whole_files import to_json, write_whole

    missing = [config for config in args.configs if not Path(config).is_file()]
    if missing:
        raise FileNotFoundError(f"the config '{missing[0]}' is not a file")

    start = time.time()
    seconds = {'data': run('dataset_converters/make_moving_shapes.py')}
    results = {Path(config).stem: train_and_test(config, args.out, seconds)
               for config in args.configs}
    search(args.configs[0], args.out, seconds)
    seconds['total'] = round(time.time() - start, 1)
    write_whole(args.out / 'results.json', to_json(dict(results, seconds=seconds)))
    print('\n'.join(summary(results, args.out)))


if __name__ == '__main__':
    try:
        run_tool(main)
    except subprocess.CalledProcessError as error:
        sys.exit(f'stopped: {shlex.join(map(str, error.cmd))} failed with {error.returncode}')
