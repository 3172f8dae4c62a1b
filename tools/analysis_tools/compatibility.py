"""Try mmc2v in throw-away environments of the oldest and the newest releases that it allows.

python tools/analysis_tools/compatibility.py --write docs/compatibility.md
python tools/analysis_tools/compatibility.py --only '3.13, newest'

Builds a wheel, installs it as a user would, and in each environment imports it, reads videos of
every kind (tests/video/test_pyav_reader.py), runs tests/models, and trains two steps by name,
outside the repository. Pythons are looked for on the PATH and among pyenv's. An environment takes
about five minutes on two cores and up to 7 GB, mostly of torch; it is deleted before the next
begins. Needs nothing but Python itself.
"""
import datetime
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, run

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ('torch', 'numpy', 'mmengine', 'mmcv', 'mmaction2', 'open_clip_torch', 'av')
OWNERS = {'mmengine': ('mmengine', 'onedl-mmengine'), 'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv')}
BEGIN, END = '<!-- begin: make compat -->', '<!-- end: make compat -->'


@dataclass(frozen=True)
class Environment:
    """What is installed beside mmc2v.

    Args:
        name (str): Its row in the table.
        python (str): Minor release, '3.11'.
        packages (tuple[str, ...]): Requirements and options of pip.
        extras (str): Of mmc2v.
        refused (str, optional): What pip has to say where mmc2v must not install.
    """

    name: str
    python: str
    packages: tuple[str, ...] = ()
    extras: str = '[lite,clip]'
    refused: Optional[str] = None


ENVIRONMENTS = (
    Environment('3.10, refused', '3.10', refused='requires a different Python'),
    Environment('3.11, oldest', '3.11', (
        'torch==2.3.1', 'torchvision==0.18.1', 'numpy==1.26.4', 'mmengine==0.10.4',
        'mmcv-lite==2.0.1', 'mmaction2==1.2.0', 'open_clip_torch==3.1.0', 'av==17.1.0',
        'pillow==10.1.0', 'opencv-python==4.11.0.86', 'opencv-contrib-python==4.11.0.86',
        'filelock==3.9.0', 'safetensors==0.4.0', 'tqdm==4.60.0', 'matplotlib==3.7.0',
        'tensorboard==2.14.0', 'setuptools<81')),
    Environment('3.11, as make setup', '3.11', ('-c', str(ROOT / 'requirements/constraints.txt'))),
    Environment('3.12, newest', '3.12'),
    Environment('3.12, newest, pre-release of MMEngine', '3.12', ('mmengine>=0.11.0rc1,<1',)),
    Environment('3.13, newest', '3.13'),
    Environment('3.13, newest, onedl-mmcv', '3.13', ('onedl-mmcv',), '[clip]'),
)


@dataclass
class Row:
    """What was found: versions by package and outcomes by step."""

    environment: Environment
    versions: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether a step failed."""
        return any('FAILED' in outcome for outcome in self.outcomes.values())


def find_python(minor: str) -> Optional[str]:
    """Return an interpreter of a minor release, or None."""
    root = os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')
    candidates = sorted(glob.glob(f'{root}/versions/{minor}.*/bin/python'), reverse=True)
    for path in (shutil.which(f'python{minor}'), *candidates, sys.executable):
        if path is None:
            continue
        done = subprocess.run([path, '-c', 'import sys; print("%d.%d" % sys.version_info[:2])'],
                              capture_output=True, text=True, check=False)
        if done.stdout.strip() == minor:
            return path
    return None


def call(log: Path, *command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Run a command; keep what it says in a file."""
    environment = {**os.environ, 'PYTHONWARNINGS': 'ignore', 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with open(log, 'a') as file:
        file.write(f'$ {" ".join(command)}\n{done.stdout}\n')
    return done


def outcome(done: subprocess.CompletedProcess, good: str) -> str:
    """Say how a step went, in a few words."""
    if done.returncode == 0:
        found = re.findall(good, done.stdout)
        return found[-1] if found else 'FAILED: it did not say what it did'
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r'(E  |FAILED|ERROR|\w*Error)', line)] or lines
    return f'FAILED: {telling[-1][:200] if telling else done.returncode}'.replace('|', '/')


def training_steps(python: str, folder: Path, log: Path) -> subprocess.CompletedProcess:
    """Make 32 videos and train two steps on them, by names, outside the repository."""
    made = call(log, python, '-m', 'mmc2v', 'make_moving_shapes', '--out', str(folder / 'shapes'),
                '--num-train', '32', '--num-test-pairs', '2', cwd=folder)
    if made.returncode:
        return made
    done = call(
        log, python, '-m', 'mmc2v', 'train', 'mmc2v::clip2video_moving_shapes.py', '--no-validate',
        '--work-dir', str(folder / 'work'), '--cfg-options', 'train_cfg.max_epochs=1',
        'train_dataloader.batch_size=16', 'default_hooks.logger.interval=1',
        f'train_dataloader.dataset.data_root={folder / "shapes"}', cwd=folder)
    logs = list((folder / 'work').glob('*/*.log'))
    done.stdout += ''.join(path.read_text() for path in logs)
    return done


def try_in(environment: Environment, python: str, wheel: Path, folder: Path, log: Path) -> Row:
    """Install, import, read, test and train."""
    row = Row(environment)
    call(log, python, '-m', 'venv', str(folder / 'venv'))
    inside = str(folder / 'venv' / 'bin' / 'python')
    # An older pip cannot read the metadata of the newest packages quickly.
    call(log, inside, '-m', 'pip', 'install', '--quiet', '--upgrade', 'pip')
    done = call(log, inside, '-m', 'pip', 'install', f'{wheel}{environment.extras}', 'pytest>=8',
                *environment.packages)
    if environment.refused is not None:
        as_told = done.returncode and environment.refused in done.stdout
        row.outcomes['install'] = 'refused, as it should' if as_told else 'FAILED: it installs'
        return row
    row.outcomes['install'] = outcome(done, '(Successfully) installed').replace('Successfully',
                                                                                'ok')
    if done.returncode:
        return row
    row.versions = versions(inside, log)
    row.outcomes['import'] = outcome(
        call(log, inside, '-c', 'import mmc2v, mmaction.models, open_clip; print("ok")',
             cwd=folder), r'(ok)')
    passed = r'(\d+ passed)'
    pytest = (inside, '-m', 'pytest', '-o', 'addopts=', '-p', 'no:cacheprovider')
    row.outcomes['videos'] = outcome(
        call(log, *pytest, 'tests/video/test_pyav_reader.py'), passed)
    row.outcomes['models'] = outcome(call(log, *pytest, 'tests/models'), passed)
    row.outcomes['training'] = outcome(training_steps(inside, folder, log),
                                       r'Epoch\(train\).*\[(2/2)\]').replace('2/2', '2 steps')
    return row


def versions(python: str, log: Path) -> dict[str, str]:
    """Return the installed version of what the table shows, whoever owns it."""
    code = ('import importlib.metadata as m\n'
            'for d in m.distributions(): print(d.metadata["Name"], d.version)')
    listed = call(log, python, '-c', code).stdout.lower().replace('_', '-').splitlines()
    installed = dict(line.split(' ', 1) for line in listed if ' ' in line)
    found = {}
    for name in SHOWN:
        for owner in OWNERS.get(name, (name.replace('_', '-'),)):
            if owner in installed:
                found[name] = (f'{owner} ' if owner != name.replace('_', '-') else '') \
                    + installed[owner]
    return found


def table(rows: list[Row]) -> dict[str, str]:
    """Return the lines of a table: its head, and the row of every environment by its name."""
    steps = ('install', 'import', 'videos', 'models', 'training')
    head = ('Python, releases', *SHOWN, *steps, 'tried')
    lines = {'head': '| ' + ' | '.join(head) + ' |', 'rule': '|' + '---|' * len(head)}
    for row in rows:
        cells = (row.environment.name, *(row.versions.get(name, '') for name in SHOWN),
                 *(row.outcomes.get(step, '') for step in steps), str(datetime.date.today()))
        lines[row.environment.name] = '| ' + ' | '.join(cells) + ' |'
    return lines


def marked_page(path: Path) -> str:
    """Return the text of the page of the table.

    Raises:
        ValueError: If the page does not mark the place.
    """
    text = path.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"'{path}' does not hold the lines {BEGIN} and {END}")
    return text


def write(path: Path, rows: list[Row]) -> None:
    """Put rows into the table of a page, in the order of the environments.

    Rows of environments that were not tried now stay as they are, with their date.
    """
    before, rest = marked_page(path).split(BEGIN)
    old, after = rest.split(END)
    known = {line.split('|')[1].strip(): line for line in old.splitlines() if line[:2] == '| '}
    lines = {**known, **table(rows)}
    order = ['head', 'rule', *(environment.name for environment in ENVIRONMENTS)]
    path.write_text('\n'.join([before + BEGIN, *(lines[name] for name in order if name in lines),
                               END + after]))


def main() -> None:
    """Try all, print the table, and fail where a row does."""
    parser = Parser(__doc__)
    parser.add_argument('--only', action='append', metavar='NAME',
                        choices=[environment.name for environment in ENVIRONMENTS],
                        help='one environment, may be given several times; default all of '
                        + '; '.join(environment.name for environment in ENVIRONMENTS))
    parser.add_argument('--write', type=Path, metavar='PAGE',
                        help='put the rows into the table of this page; default none')
    parser.add_argument('--logs', type=Path, default=Path('work_dirs/compatibility'),
                        help='folder for what pip and the tests say; default %(default)s')
    args = parser.parse_args()
    if args.write:
        marked_page(args.write)  # before the long work
    args.logs.mkdir(parents=True, exist_ok=True)
    rows, absent = [], []
    with tempfile.TemporaryDirectory() as built:
        call(args.logs.resolve() / 'wheel.log', sys.executable, '-m', 'pip', 'wheel', '--quiet',
             '--no-deps', '--wheel-dir', built, str(ROOT))
        wheel = next(Path(built).glob('mmc2v-*.whl'), None)
        if wheel is None:
            sys.exit(f"error: no wheel could be built; see '{args.logs / 'wheel.log'}'")
        for environment in ENVIRONMENTS:
            if args.only and environment.name not in args.only:
                continue
            python = find_python(environment.python)
            if python is None:
                absent.append(environment.name)
                continue
            name = re.sub('[^a-z0-9.]+', '_', environment.name.lower())
            log = args.logs.resolve() / f'{name}.log'
            log.unlink(missing_ok=True)
            print(f'{environment.name} ... (log: {log})', flush=True)
            with tempfile.TemporaryDirectory() as folder:
                rows.append(try_in(environment, python, wheel, Path(folder), log))
            print(f'    {rows[-1].outcomes}', flush=True)
    print('\n'.join(table(rows).values()))
    if args.write:
        write(args.write, rows)
    if absent:
        sys.exit(f'error: not tried, because this machine has no such Python: {"; ".join(absent)}')
    if not rows or any(row.failed for row in rows):
        sys.exit('error: some environments failed; the logs say why')


if __name__ == '__main__':
    run(main)
