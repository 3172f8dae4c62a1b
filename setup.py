"""Packaging of mmc2v; tool settings are in pyproject.toml."""
import importlib.metadata
import re
import sysconfig
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name):
    """Read requirements/<name>.txt without comments and references."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    stripped = (line.split('#')[0].strip() for line in lines)
    return [line for line in stripped if line and not line.startswith('-r')]


def installed_torch():
    """Return a requirement that keeps the torch that is already in this environment, if any.

    open_clip asks for any torchvision, and every torchvision for one exact torch. Left alone, pip
    takes the newest of both and replaces the user's torch.
    """
    folders = [sysconfig.get_path(kind) for kind in ('purelib', 'platlib')]
    for distribution in importlib.metadata.distributions(name='torch', path=folders):
        return [f'torch=={distribution.version.split("+")[0]}']
    return []


version = re.search(r"__version__ = '(.+)'", (ROOT / 'mmc2v' / 'version.py').read_text()).group(1)

setup(
    name='mmc2v',
    version=version,
    description='CLIP2Video video-text retrieval for MMAction2',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['mmc2v', 'mmc2v.*']),
    install_requires=requirements('runtime') + installed_torch(),
    extras_require={
        'lite': requirements('lite'),
        'transformers': requirements('transformers'),
        'tests': requirements('tests') + requirements('lite'),
    },
    classifiers=[
        'Programming Language :: Python :: 3',
        'License :: OSI Approved :: Apache Software License',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
