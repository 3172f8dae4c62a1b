"""What is installed is explained, pinned, and leaves a user's torch alone."""
import importlib.metadata
import re
import subprocess
import sys

import pytest

from .tiny import ROOT


def lines(name):
    text = (ROOT / 'requirements' / f'{name}.txt').read_text()
    return [line for line in text.splitlines() if line and not line.startswith(('#', '-r'))]


def names(requirements):
    return {re.match(r'[\w.-]+', line).group().lower().replace('-', '_') for line in requirements}


@pytest.mark.parametrize('name', ['runtime', 'lite', 'tests'])
def test_every_dependency_says_what_it_is_for(name):
    for line in lines(name):
        assert re.search(r'  +# \w{2,}', line), line


def test_constraints_pin_everything_and_one_opencv():
    pins = dict(line.split('==') for line in lines('constraints'))
    pinned = {name.lower().replace('-', '_') for name in pins}
    assert names(lines('runtime') + lines('lite') + lines('tests')) <= pinned
    assert pins['opencv-python'] == pins['opencv-contrib-python']


def test_installation_keeps_the_torch_that_is_there():
    installed = importlib.metadata.version('torch').split('+')[0]
    code = ('import setuptools; setuptools.setup = lambda **given: print(*given["install_requires"]'
            ', sep="\\n"); exec(open("setup.py").read(), {"__file__": "setup.py"})')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True,
                          check=True)
    required = done.stdout.split()
    assert f'torch=={installed}' in required
    assert 'torch>=2.1' in required
    assert not any(requirement.startswith('mmcv') for requirement in required)
