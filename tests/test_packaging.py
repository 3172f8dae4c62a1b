"""What is installed is explained, pinned, and leaves a user's torch alone."""
import importlib.metadata
import os
import re
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from .tiny import ROOT

NAMES = ('runtime', 'lite', 'clip', 'transformers', 'web', 'milvus', 'mteb')


def lines(name):
    text = (ROOT / 'requirements' / f'{name}.txt').read_text()
    return [line for line in text.splitlines() if line and not line.startswith(('#', '-r'))]


def normal(requirement):
    return re.match(r'[\w.-]+', requirement).group().lower().replace('-', '_')


def names(requirements):
    return {normal(line) for line in requirements}


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True,
                          check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize('name', [*NAMES, 'tests'])
def test_every_dependency_says_what_it_is_for(name):
    for line in lines(name):
        assert re.search(r'  +# \w{2,}', line), line


def test_constraints_pin_everything_and_one_opencv():
    pins = [line.split(';')[0].strip().split('==') for line in lines('constraints')]
    pinned = {name.lower().replace('-', '_'): version for name, version in pins}
    wanted = [line for name in ('runtime', 'lite', 'clip', 'web', 'milvus', 'mteb', 'tests')
              for line in lines(name)]
    assert names(wanted) <= set(pinned)
    assert pinned['opencv_python'] == pinned['opencv_contrib_python']


def test_nothing_required_asks_for_another_torch():
    """What would replace a user's torch, MMEngine or mmcv is an extra, not a requirement."""
    required = names(lines('runtime'))
    assert 'torch' in required
    assert not required & {'open_clip_torch', 'torchvision', 'timm', 'mmcv_lite', 'mmengine'}


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """The unpacked source distribution: whatever it lacks is missed by every test below."""
    folder = tmp_path_factory.mktemp('source')
    copy = folder / 'repository'
    copy.mkdir()
    for name in ('mmc2v', 'configs', 'tools', 'requirements'):
        shutil.copytree(ROOT / name, copy / name, symlinks=True,
                        ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    run(sys.executable, '-c', 'from setuptools import build_meta; build_meta.build_sdist("..")',
        cwd=copy)
    with tarfile.open(next(folder.glob('mmc2v-*.tar.gz'))) as archive:
        archive.extractall(folder, filter='data')
    return next(path for path in folder.glob('mmc2v-*') if path.is_dir())


def stub(folder, name, version, requires=()):
    """Write a wheel that holds nothing."""
    path = folder / f'{name}-{version}-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as wheel:
        wheel.writestr(f'{name}/__init__.py', '')
        wheel.writestr(f'{name}-{version}.dist-info/METADATA', '\n'.join([
            'Metadata-Version: 2.1', f'Name: {name}', f'Version: {version}',
            *(f'Requires-Dist: {requirement}' for requirement in requires), '']))
        wheel.writestr(f'{name}-{version}.dist-info/WHEEL',
                       'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr(f'{name}-{version}.dist-info/RECORD', '')
    return path


@pytest.fixture(scope='module')
def index(tmp_path_factory):
    """Stand-ins for every requirement, with torch and torchvision as they depend on each other."""
    folder = tmp_path_factory.mktemp('index')
    for name in names(lines('runtime')) - {'torch'}:
        line = next(line for line in lines('runtime') if normal(line) == name)
        least = re.search(r'>=([\d.]+)', line)
        stub(folder, name, least.group(1) if least else '1.0')
    for torch, torchvision, bound in (('2.5.1', '0.20.1', '=='), ('2.15.0', '0.29.2', '>=')):
        stub(folder, 'torch', torch)
        stub(folder, 'torchvision', torchvision, [f'torch{bound}{torch}'])
    stub(folder, 'open_clip_torch', '3.3.0', ['torch', 'torchvision'])
    return folder


def pip(python, index, *options):
    """Run pip without a network, and without what this machine tells it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith('PIP_')}
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-index',
        '--find-links', index, *options, env={**environment, 'PIP_CONFIG_FILE': os.devnull})


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    run(sys.executable, '-c', f'from setuptools import build_meta; '
        f'build_meta.build_wheel({str(folder)!r})', cwd=source)
    return next(folder.glob('mmc2v-*.whl'))


@pytest.mark.parametrize('way', ['editable', 'folder', 'wheel'])
def test_installing_keeps_the_torch_that_is_there(way, source, index, wheel, tmp_path):
    """Also where torchvision is missing, which pip would take together with the newest torch."""
    venv.create(tmp_path, with_pip=False)
    python = tmp_path / 'bin' / 'python'
    packages = next((tmp_path / 'lib').glob('python*/site-packages'))
    for path in site.getsitepackages():  # to build without a network
        for part in (*Path(path).glob('setuptools'), *Path(path).glob('setuptools-*'),
                     *Path(path).glob('_distutils_hack')):
            shutil.copytree(part, packages / part.name)
    pip(python, index, 'torch==2.5.1')
    pip(python, index, '--no-build-isolation',
        *{'editable': ['-e', source], 'folder': [source], 'wheel': [wheel]}[way])
    found = {d.metadata['Name']: d for d in importlib.metadata.distributions(path=[str(packages)])}
    assert found['torch'].version == '2.5.1'
    required = [r for r in found['mmc2v'].requires if 'extra' not in r and normal(r) == 'torch']
    assert required == ['torch>=2.3']
    folder = source if way == 'editable' else packages
    for name in ('configs/clip2video_msrvtt.py', 'configs/_base_/msrvtt.py', 'configs/metafile.yml',
                 'tools/train.py', 'tools/dist_train.sh', 'model-index.yml'):
        assert (folder / 'mmc2v' / '.mim' / name).read_text() == (ROOT / name).read_text()


def test_stand_ins_would_show_a_torch_that_is_replaced(index, tmp_path):
    """The other way round: what the requirements leave out is what replaces torch."""
    venv.create(tmp_path, with_pip=False)
    pip(tmp_path / 'bin' / 'python', index, 'torch==2.5.1')
    pip(tmp_path / 'bin' / 'python', index, 'open_clip_torch')
    packages = next((tmp_path / 'lib').glob('python*/site-packages'))
    assert [d.version for d in importlib.metadata.distributions(
        name='torch', path=[str(packages)])] == ['2.15.0']


def test_the_page_of_search_comes_along(wheel):
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if name.startswith('mmc2v/search/web/')}
    wanted = {str(path.relative_to(ROOT)) for path in (ROOT / 'mmc2v' / 'search' / 'web').rglob('*')
              if path.is_file() and '__pycache__' not in path.parts}
    assert 'mmc2v/search/web/page/index.html' in wanted
    assert found == wanted


def test_configs_and_tools_are_found_outside_the_repository(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / 'installed')
        assert not [name for name in archive.namelist() if '__pycache__' in name
                    or name.startswith(('tests', 'configs', 'tools'))]
    environment = dict(PYTHONPATH=str(tmp_path / 'installed'), PATH='/usr/bin:/bin')
    said = run(sys.executable, '-W', 'ignore', '-c', (
        'import mmc2v; from mmengine.config import Config; from mmc2v.installed import config_file;'
        'print(mmc2v.__file__); print(Config.fromfile(config_file("mmc2v::clip2video_msvd.py"))'
        '.model.type)'), cwd=tmp_path, env=environment).split()
    assert said == [str(tmp_path / 'installed' / 'mmc2v' / '__init__.py'), 'mmc2v.CLIP2Video']
    where = run(sys.executable, '-m', 'mmc2v', '--where', cwd=tmp_path, env=environment).strip()
    assert where == str(tmp_path / 'installed' / 'mmc2v' / '.mim' / 'tools')
    helped = run(sys.executable, '-m', 'mmc2v', 'train', '--help', cwd=tmp_path, env=environment)
    assert '--auto-scale-lr' in helped
    unknown = subprocess.run([sys.executable, '-m', 'mmc2v', 'trian'], cwd=tmp_path, text=True,
                             env=environment, capture_output=True, check=False)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("error: there is no tool 'trian'; there are ")
