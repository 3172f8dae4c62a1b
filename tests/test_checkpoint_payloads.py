"""Nothing in a file of weights is run, and damage is noticed, by whichever way it is loaded."""
import contextlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel, BaseModule
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint

from mmc2v import checkpoint_schemes
from mmc2v.apis import init_model
from mmc2v.checkpoint_reading import read_checkpoint_file
from mmc2v.engine.checkpoint.files import find_whole_checkpoint
from mmc2v.engine.checkpoint.fit import refuse_unfitting
from mmc2v.models import read_clip_weights
from mmc2v.models.parts import load_pretrained

from .models import golden
from .test_checkpoint_reading import flip
from .test_compat import Call
from .tiny import ARCH, ROOT, model_config


def payloads(marker):
    """Return what would create a file, each by another function, under the names of these."""
    code = f'open({str(marker)!r}, "w").close()'
    script = marker.with_name('hubconf.py')
    script.write_text(f'dependencies = []\ndef entry(): {code}\n{code}')
    return {
        'posix.system': Call(os.system, f'touch {marker}'),
        'builtins.exec': Call(exec, code),
        'builtins.eval': Call(eval, code),
        'io.open': Call(open, str(marker), 'w'),
        'subprocess.check_call': Call(subprocess.check_call, ['touch', str(marker)]),
        'runpy.run_path': Call(runpy.run_path, str(script)),
        'torch.hub._load_local': Call(torch.hub._load_local, str(script.parent), 'entry'),
    }


class Part(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.layer = torch.nn.Linear(2, 2)


class Model(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs


def by_address(prefix):
    """Let an address lead to the file, as if it had been fetched."""
    def load(path):
        name = os.path.basename(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.hub, 'download_url_to_file',
                          lambda url, target, progress: shutil.copy(path, target))
            patch.setattr(torch.hub, 'get_dir', lambda: f'{path}.hub')
            for function in ('get_torchvision_models', 'get_mmcls_models', 'get_external_models'):
                patch.setattr(mmengine_checkpoint, function,
                              lambda: {'model': f'https://example.org/{name}', 'local': path})
            patch.setattr(checkpoint_schemes, 'get_file_backend',
                          lambda *args, **kwargs: Store(path))
            load_checkpoint(torch.nn.Linear(2, 2), f'{prefix}{name}' if prefix[:4] == 'http'
                            else prefix)
    return load


class Store:
    """Stands in for a cluster's store."""

    def __init__(self, path):
        self.path = path

    @contextlib.contextmanager
    def get_local_path(self, address):
        yield self.path


def by_runner(path):
    Runner(model=Model(), work_dir=os.path.dirname(path), log_level='ERROR',
           experiment_name=path.replace('/', '_')).load_checkpoint(path)


def by_publishing(path):
    """Run MMAction2's tool, which calls torch.load itself."""
    loading, arguments = torch.load, sys.argv
    sys.argv = ['mmaction_tool.py', 'deployment/publish_model.py', path, f'{path}.out']
    try:
        runpy.run_path(str(ROOT / 'tools' / 'mmaction_tool.py'), run_name='__main__')
    finally:
        torch.load, sys.argv = loading, arguments


WAYS = {
    'reader': read_checkpoint_file,
    'mmengine': lambda path: load_checkpoint(torch.nn.Linear(2, 2), path),
    'runner': by_runner,
    'init_model': lambda path: init_model(Config(dict(model=model_config())), path),
    'init_cfg': lambda path: Part(dict(type='Pretrained', checkpoint=path)).init_weights(),
    'init_cfg of a prefix': lambda path: Part(
        dict(type='Pretrained', checkpoint=path, prefix='part.')).init_weights(),
    'part': lambda path: load_pretrained(torch.nn.Linear(2, 2), path),
    'fit': lambda path: refuse_unfitting(path, torch.nn.Linear(2, 2), is_exact=False),
    'work dir': lambda path: find_whole_checkpoint(os.path.dirname(path)),
    'clip': lambda path: read_clip_weights(path, ARCH),
    'converter': lambda path: golden.converter.read_checkpoint(Path(path)),
    'publishing': by_publishing,
    **{prefix: by_address(prefix) for prefix in (
        'http://example.org/', 'https://example.org/', 'torchvision://model', 'mmcls://model',
        'open-mmlab://model', 'openmmlab://local', 's3://bucket/model', 'petrel://bucket/model')},
}


@pytest.fixture(params=['allowed by default', 'allowed by whoever calls'])
def execution(request, monkeypatch):
    """Let torch.load run what is in pickles, as torch < 2.6 and MMEngine 0.11 do."""
    allowed = dict(weights_only=False)
    loading = torch.serialization.load
    monkeypatch.setattr(torch, 'load', lambda *args, **kwargs: loading(
        *args, **({**allowed, **kwargs} if request.param == 'allowed by default'
                  else {**kwargs, **allowed})))


def problem(way, path):
    """Return in what words a file is refused."""
    with pytest.raises(ValueError, match='epoch_1.pth') as error:
        WAYS[way](str(path))
    return str(error.value)


@pytest.mark.parametrize('way', WAYS)
def test_payloads_are_named_and_not_run(way, execution, tmp_path):
    marker = tmp_path / 'marker'
    for number, (name, payload) in enumerate(payloads(marker).items()):
        path = tmp_path / str(number) / 'epoch_1.pth'
        path.parent.mkdir()
        torch.save(dict(state_dict=dict(weight=torch.zeros(2, 2)), meta=payload), path,
                   _use_new_zipfile_serialization=number % 2 == 0)
        named = name.split('.')[-1]  # torch leaves the modules of builtins out
        message = problem(way, path)
        assert re.search(rf"epoch_1\.pth' .*\b{named}\b.*nothing of it was run", message), message
        assert not marker.exists(), name


def test_those_payloads_would_run(tmp_path):
    marker = tmp_path / 'marker'
    for name, payload in payloads(marker).items():
        torch.save(payload, tmp_path / 'a.pth')
        torch.serialization.load(tmp_path / 'a.pth', weights_only=False)
        assert marker.exists(), name
        marker.unlink()


class Program(torch.nn.Module):
    """TorchScript that writes a file while it is loaded."""

    def __init__(self, marker):
        super().__init__()
        self.weight, self.marker = torch.nn.Parameter(torch.zeros(2)), str(marker)

    def forward(self, inputs):
        return inputs

    @torch.jit.export
    def __getstate__(self):
        return (self.weight, self.marker, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, str, bool]):
        self.weight, self.marker, self.training = state[0], state[1], state[2]
        torch.save(state[0], self.marker)


@pytest.mark.parametrize('way', WAYS)
def test_programs_and_tar_archives_are_not_run_either(way, execution, tmp_path):
    marker = tmp_path / 'marker'
    program, archive = tmp_path / 'epoch_1.pth', tmp_path / 'tar' / 'epoch_1.pth'
    torch.jit.save(torch.jit.script(Program(marker)), str(program))
    archive.parent.mkdir()
    with tarfile.open(archive, 'w') as tar:
        tar.add(program, 'storages')
    problem(way, program)
    assert not marker.exists()
    assert 'tar archive' in problem(way, archive)
    torch.jit.load(str(program))
    assert marker.exists()


@pytest.mark.parametrize('way', WAYS)
def test_a_flipped_bit_is_noticed(way, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=dict(weight=torch.zeros(99, 99))), path)
    flip(path)
    assert re.search(r"epoch_1\.pth' is damaged: the checksum of its part", problem(way, path))


def test_what_mmengine_puts_into_checkpoints_is_read(execution, tmp_path):
    content = dict(state_dict=dict(weight=torch.ones(2, 2), bias=torch.ones(2)),
                   log=HistoryBuffer([1.5], [1]), best=np.float64(0.5), table=np.arange(3),
                   raw=b'\xff', meta=dict(epoch=3, config='raise SystemExit'))
    for new_format in (True, False):
        path = tmp_path / f'{new_format}.pth'
        torch.save(content, path, _use_new_zipfile_serialization=new_format)
        loaded = load_checkpoint(torch.nn.Linear(2, 2), str(path))
        assert loaded['log'].mean() == 1.5
        assert (loaded['best'], loaded['raw']) == (0.5, b'\xff')
        assert loaded['table'].tolist() == [0, 1, 2]
        # MMEngine would run the config when it resumes
        assert loaded['meta'] == dict(epoch=3)
        assert read_checkpoint_file(path, mmap=True)['meta']['epoch'] == 3


def test_an_address_is_fetched_once(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    fetched = []
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda url, path, progress: (
        fetched.append(url), torch.save(dict(weight=torch.ones(1)), path)))
    for _ in range(2):
        loaded = mmengine_checkpoint.CheckpointLoader.load_checkpoint('https://example.org/b/a.pth?x')
        assert torch.equal(loaded['weight'], torch.ones(1))
    assert fetched == ['https://example.org/b/a.pth?x']
    assert (tmp_path / 'checkpoints' / 'a.pth').is_file()
