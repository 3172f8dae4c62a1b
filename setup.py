"""Packaging of mmc2v; tool settings are in pyproject.toml."""
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# What MMEngine, MMAction2's habits and `mim` look for in a package's folder .mim
MIM = ('configs', 'tools', 'model-index.yml')


def requirements(name):
    """Read requirements/<name>.txt without comments and references."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    stripped = (line.split('#')[0].strip() for line in lines)
    return [line for line in stripped if line and not line.startswith('-r')]


class build_py_with_mim(build_py):  # noqa: N801  (the name of a command)
    """Puts configs and tools into the package, as links where it is installed in place."""

    def run(self):
        """Build, then add mmc2v/.mim."""
        if not self.editable_mode:  # what an earlier build left must not come along
            shutil.rmtree(Path(self.build_lib) / 'mmc2v', ignore_errors=True)
        super().run()
        if self.editable_mode:
            self._link(ROOT / 'mmc2v' / '.mim')
        else:
            for path, target in self._copies():
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))

    def get_outputs(self, include_bytecode=1):
        """Name the copies as well: a wheel holds what is named here."""
        copies = [] if self.editable_mode else [str(target) for _, target in self._copies()]
        return super().get_outputs(include_bytecode) + copies

    def _copies(self):
        """Return source and target of every file."""
        target = Path(self.build_lib) / 'mmc2v' / '.mim'
        for name in MIM:
            files = [ROOT / name] if (ROOT / name).is_file() else sorted((ROOT / name).rglob('*'))
            for path in files:
                if path.is_file() and '__pycache__' not in path.parts:
                    yield path, target / path.relative_to(ROOT)

    @staticmethod
    def _link(folder):
        """Link from the package's folder to the repository; copy where there are no links."""
        folder.mkdir(exist_ok=True)
        for name in MIM:
            link, source = folder / name, ROOT / name
            if link.is_symlink() or link.is_file():
                link.unlink()
            elif link.is_dir():
                shutil.rmtree(link)
            try:
                link.symlink_to(Path('..', '..', name), target_is_directory=source.is_dir())
            except OSError:  # Windows without the right to make links
                (shutil.copytree if source.is_dir() else shutil.copy)(source, link)


version = re.search(r"__version__ = '(.+)'",
                    (ROOT / 'mmc2v' / 'version.py').read_text(encoding='utf-8')).group(1)

setup(
    name='mmc2v',
    version=version,
    description='CLIP2Video video-text retrieval for MMAction2',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.11',
    packages=find_packages(include=['mmc2v', 'mmc2v.*']),
    package_data={'mmc2v.search.web': ['page/*', 'openapi.json']},
    cmdclass={'build_py': build_py_with_mim},
    # Neither torch's exact release nor anything that asks for one: mmcv, MMEngine and open_clip are
    # extras, because each would replace what a user has. `import mmc2v` names what is missing.
    install_requires=requirements('runtime'),
    extras_require={
        'lite': requirements('lite'),
        'clip': requirements('clip'),
        'transformers': requirements('transformers'),
        'ann': requirements('ann'),
        'web': requirements('web'),
        'milvus': requirements('milvus'),
        'onnx': requirements('onnx'),
        'openvino': requirements('openvino'),
        'export': requirements('onnx') + requirements('export'),
        'mteb': requirements('mteb'),
        'tests': requirements('tests') + requirements('lite') + requirements('clip')
        + requirements('ann') + requirements('web') + requirements('milvus')
        + requirements('onnx') + requirements('openvino') + requirements('export')
        + requirements('mteb'),
    },
    classifiers=[
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in (11, 12, 13)),
        'License :: OSI Approved :: Apache Software License',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
