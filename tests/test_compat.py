"""Every mend acts where the fault is present, and only there."""
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import HistoryBuffer, MessageHub

from mmc2v import compat, log_buffers
from mmc2v.checkpoint_reading import read_checkpoint_file
from mmc2v.installed import config_file

from .tiny import ROOT


def compat_alone(folder):
    """A line of code that imports compat by itself, beside the packages of a folder."""
    path = str(ROOT / 'mmc2v/compat.py')
    return (f'import importlib.util, sys; sys.path.insert(0, {str(folder)!r}); '
            f"spec = importlib.util.spec_from_file_location('compat', {path!r}); "
            'compat = importlib.util.module_from_spec(spec); spec.loader.exec_module(compat)')


def python(code):
    """Run code in a fresh interpreter; return what it prints."""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)],
                          capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_import_alone_makes_everything_work():
    assert python("""
        import io
        import mmc2v
        import mmaction.models, open_clip, torch
        from mmengine.config import Config
        from mmengine.logging import HistoryBuffer
        from mmengine.runner.checkpoint import CheckpointLoader
        from mmengine.utils import is_installed
        stream = io.BytesIO()
        torch.save(dict(a=HistoryBuffer([1.5], [1])), stream)
        stream.seek(0)
        print(torch.load(stream)['a'].mean(), is_installed('mmaction2'), is_installed('nowhere'))
        print(CheckpointLoader._get_checkpoint_loader('epoch_1.pth').__module__)
        """)[-4:] == ['1.5', 'True', 'False', 'mmc2v.checkpoint_schemes']


@pytest.mark.parametrize(('missing', 'named'), [
    ({'mmcv'}, {'mmcv-lite', 'mmengine'}), ({'mmengine'}, {'mmcv-lite', 'mmengine'}),
    ({'open_clip'}, {'open_clip_torch'}),
    ({'open_clip', 'torchvision'}, {'open_clip_torch', 'torchvision', 'torch'}),
])
def test_what_is_missing_is_named_in_one_command(missing, named, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(compat.importlib.util, 'find_spec',
                        lambda name: None if name in missing else find_spec(name))
    with pytest.raises(ImportError, match='compiled mmcv') as error:
        compat.require_packages()
    command = next(line for line in str(error.value).splitlines() if 'pip install' in line)
    assert {re.split('[<>=]', word.strip("'"))[0] for word in command.split()[2:]} == named
    # torchvision asks for the newest torch, so the user's has to be named beside it
    same_torch = f'torch=={importlib.metadata.version("torch")}'
    assert (same_torch in command) == ('torchvision' in missing)
    monkeypatch.undo()
    compat.require_packages()


@pytest.mark.parametrize(('version', 'mended'), [('2.1.0', False), ('2.3.6', True)])
def test_newer_mmcv_is_let_through(version, mended, tmp_path):
    """MMAction2 looks at the version of mmcv once, while it is imported."""
    for name, text in (('mmcv', f'__version__ = {version!r}'), ('mmaction', (
            'import mmcv\nfrom mmengine.utils import digit_version as number\n'
            "assert number(mmcv.__version__) < number('2.2.0')\n"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text(text)
    code = f"""
        {compat_alone(tmp_path)}
        print(compat.lift_bound_on_mmcv())
        import mmcv, mmaction
        print(mmcv.__version__, mmaction.__file__.startswith({str(tmp_path)!r}))
        """
    assert python(code) == [str(mended), version, 'True']


def test_own_configs_are_found_by_name(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'mmc2v::clip2video_msrvtt.py'\ntrain_cfg = dict(max_epochs=3)\n")
    config = Config.fromfile(tmp_path / 'mine.py')
    assert (config.train_cfg.max_epochs, config.model.type) == (3, 'mmc2v.CLIP2Video')
    assert get_config('mmc2v::clip2video_msrvtt.py').train_cfg.max_epochs == 5
    assert Config.fromfile(config_file('mmc2v::ablation/mean.py')).model.neck.type \
        == 'mmc2v.MeanPooling'
    with pytest.raises(FileNotFoundError, match=r'clip2vdeo.*there are .*clip2video_msrvtt\.py'):
        config_file('mmc2v::clip2vdeo.py')
    assert compat.know_own_configs() is False  # import mmc2v did it


def test_torchvision_schemas_where_its_library_does_not_load(tmp_path):
    """A torchvision whose _C.so is not a library for this torch."""
    code = f"""
        import importlib.util, os, sys
        import torch
        folder = {str(tmp_path)!r}
        os.makedirs(folder + '/torchvision')
        open(folder + '/torchvision/__init__.py', 'w').close()
        open(folder + '/torchvision/_C.so', 'w').write('not a library')
        sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location('compat', {str(ROOT / 'mmc2v/compat.py')!r})
        compat = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(compat)
        print(hasattr(torch.ops.torchvision, 'nms'), compat.define_torchvision_schemas(),
              hasattr(torch.ops.torchvision, 'nms'), compat.define_torchvision_schemas())
        torch.library.register_fake('torchvision::nms')(lambda *args: None)  # as torchvision does
        """
    assert python(code) == ['False', 'True', 'True', 'False']


def test_torchvision_schemas_where_its_library_loads(tmp_path):
    """The same, but the library loads: nothing is defined."""
    code = f"""
        import importlib.util, os, sys
        import torch
        folder = {str(tmp_path)!r}
        os.makedirs(folder + '/torchvision')
        open(folder + '/torchvision/__init__.py', 'w').close()
        open(folder + '/torchvision/_C.so', 'w').close()
        sys.path.insert(0, folder)
        torch.ops.load_library = lambda path: None
        spec = importlib.util.spec_from_file_location('compat', {str(ROOT / 'mmc2v/compat.py')!r})
        compat = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(compat)
        print(compat.define_torchvision_schemas(), hasattr(torch.ops.torchvision, 'nms'))
        """
    assert python(code) == ['False', 'False']


@pytest.mark.parametrize('present', [True, False])
def test_drn_stands_in_where_the_file_is_missing(present, tmp_path):
    code = f"""
        import importlib.util, os, sys
        folder = {str(tmp_path)!r}
        os.makedirs(folder + '/mmaction/models/localizers/drn')
        open(folder + '/mmaction/__init__.py', 'w').close()
        if {present}:
            open(folder + '/mmaction/models/localizers/drn/drn.py', 'w').close()
        sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location('compat', {str(ROOT / 'mmc2v/compat.py')!r})
        compat = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(compat)
        print(compat.stand_in_for_drn())
        print('mmaction.models.localizers.drn' in sys.modules)
        """
    assert python(code) == [str(not present)] * 2


def test_building_the_stand_in_says_what_is_missing():
    from mmaction.models.localizers import DRN
    with pytest.raises(ImportError, match='Install mmaction2 from source'):
        DRN()


@pytest.mark.parametrize(('text', 'left_out'), [
    ('from .pytorch_utils import (\n    apply_chunking_to_forward)', False), ('', True),
    (None, False)])
def test_vindlu_is_left_out_where_transformers_is_too_new_for_it(text, left_out, tmp_path):
    """MMAction2 looks once, while its models are imported; nothing imports transformers."""
    for name, lines in (('transformers', 'raise AssertionError'), ('mmaction', ''),
                        ('mmaction/utils', ''), ('mmaction/models', (
                            'from mmaction.utils.dependency import WITH_MULTIMODAL'))):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text(lines)
    (tmp_path / 'mmaction/utils/dependency.py').write_text('WITH_MULTIMODAL = True')
    if text is not None:
        (tmp_path / 'transformers/modeling_utils.py').write_text(text)
    code = f"""
        {compat_alone(tmp_path)}
        print(compat.leave_out_vindlu())
        import mmaction.models
        print(not mmaction.models.WITH_MULTIMODAL)
        """
    assert python(code) == [str(left_out)] * 2


def test_pkg_resources_is_replaced_where_it_is_missing(monkeypatch):
    import mmengine.config.config
    import mmengine.hub.hub
    import mmengine.utils.package_utils
    modules = (mmengine.utils.package_utils, mmengine.utils, mmengine.config.config,
               mmengine.hub.hub)
    marker = object()
    for module in modules:
        for name in ('is_installed', 'get_installed_path'):
            monkeypatch.setattr(module, name, marker, raising=False)
    find_spec = compat.importlib.util.find_spec
    monkeypatch.setattr(compat.importlib.util, 'find_spec', lambda name: (
        find_spec('json') if name == 'pkg_resources' else find_spec(name)))
    assert compat.replace_pkg_resources() is False
    assert all(module.get_installed_path is marker for module in modules)
    monkeypatch.setattr(compat.importlib.util, 'find_spec', lambda name: (
        None if name == 'pkg_resources' else find_spec(name)))
    assert compat.replace_pkg_resources() is True
    assert all(module.get_installed_path is compat._get_installed_path for module in modules)


def test_replacements_find_distributions_and_modules():
    import mmaction
    folder = mmaction.__path__[0]
    assert compat._is_installed('mmaction2')
    assert compat._is_installed('mmaction')
    assert not compat._is_installed('no_such_package')
    assert compat._get_installed_path('mmaction2') == folder  # by distribution
    assert compat._get_installed_path('mmaction') == folder  # by module
    with pytest.raises(compat.importlib.metadata.PackageNotFoundError):
        compat._get_installed_path('no_such_package')


def test_equal_configs_are_formatted_once():
    """For every checkpoint MMEngine asks for the text, which takes yapf up to a second."""
    assert python("""
        from yapf.yapflib import yapf_api
        calls, original = [], yapf_api.FormatCode
        def counted(text, **kwargs):
            calls.append(text)
            return original(text, **kwargs)
        yapf_api.FormatCode = counted  # before MMEngine takes it from there
        import mmc2v
        from mmengine.config import Config
        one = Config(dict(a=dict(b=1,c=[2])))
        print(one.pretty_text == one.copy().pretty_text, len(calls))
        one.a.b = 5
        print(''.join(one.pretty_text.split()), len(calls))
        print(mmc2v.compat.format_configs_once())
        """) == ['True', '1', 'a=dict(b=5,c=[2,])', '2', 'False']


def test_base_of_another_package_is_found():
    config = Config.fromfile(ROOT / 'tests' / 'data' / 'base_of_mmaction.py')
    assert config.default_scope == 'mmaction'


def test_checkpoints_of_mmengine_load_with_weights_only(tmp_path):
    hub = MessageHub.get_instance('test_compat')
    hub.update_scalar('loss', 2.5)
    hub.update_info('epoch', 3)
    torch.save(dict(hub.state_dict(), best=np.float64(1.5)), tmp_path / 'a.pth')
    reads = [read_checkpoint_file]
    if log_buffers.weights_only_serves():
        reads.append(lambda path: torch.load(path, weights_only=True))
    for read in reads:
        state = read(tmp_path / 'a.pth')
        assert state['log_scalars']['loss'].mean() == 2.5
        assert (state['runtime_info']['epoch'], state['best']) == (3, 1.5)


def test_nothing_is_allowed_where_log_buffers_load_already():
    assert log_buffers.allow_history_buffer() is False  # import mmc2v did it
    if log_buffers.weights_only_serves():
        before = len(torch.serialization.get_safe_globals())
        log_buffers.allow_history_buffer()
        assert len(torch.serialization.get_safe_globals()) == before


def test_log_buffers_are_allowed_where_they_are_refused():
    assert python("""
        import importlib.util, os
        import torch
        spec = importlib.util.spec_from_file_location('log_buffers', 'mmc2v/log_buffers.py')
        log_buffers = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(log_buffers)
        os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'  # our reader does not heed it
        print(log_buffers.allow_history_buffer(), log_buffers.allow_history_buffer())
        """) == [str(log_buffers.weights_only_serves()), 'False']


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(('function', 'args'), [
    (getattr, (HistoryBuffer, '__init__')), (getattr, (HistoryBuffer, '_statistics_methods')),
    (getattr, (dict, 'fromkeys')), (getattr, ('text', 'format')), (eval, ('1 + 1',)),
    (print, ('hello',)),
])
def test_weights_only_stays_strict(function, args, tmp_path):
    """The stand-in for getattr serves log buffers' public methods; nothing else is let through."""
    torch.save(Call(function, *args), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='cannot be read|nothing of it was run'):
        read_checkpoint_file(tmp_path / 'a.pth')
    torch.save(Call(getattr, HistoryBuffer, 'mean'), tmp_path / 'b.pth')
    assert read_checkpoint_file(tmp_path / 'b.pth') is HistoryBuffer.mean
