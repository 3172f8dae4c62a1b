"""Every mend acts where the fault is present, and only there."""
import io
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from mmc2v import compat

from .tiny import ROOT


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
        from mmengine.utils import is_installed
        stream = io.BytesIO()
        torch.save(dict(a=HistoryBuffer([1.5], [1])), stream)
        stream.seek(0)
        print(torch.load(stream)['a'].mean(), is_installed('mmaction2'), is_installed('nowhere'))
        """)[-3:] == ['1.5', 'True', 'False']


def test_without_mmcv_both_commands_are_named(monkeypatch):
    monkeypatch.setattr(compat.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'(?s)mmcv-lite.*pip install .mmcv>'):
        compat.require_mmcv()
    monkeypatch.undo()
    compat.require_mmcv()


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


def test_base_of_another_package_is_found():
    from mmengine.config import Config
    config = Config.fromfile(ROOT / 'tests' / 'data' / 'base_of_mmaction.py')
    assert config.default_scope == 'mmaction'


def saved(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    stream.seek(0)
    return stream


def test_checkpoints_of_mmengine_load_with_weights_only():
    hub = MessageHub.get_instance('test_compat')
    hub.update_scalar('loss', 2.5)
    hub.update_info('epoch', 3)
    state = torch.load(saved(hub.state_dict()), weights_only=True)
    assert state['log_scalars']['loss'].mean() == 2.5
    assert state['runtime_info']['epoch'] == 3
    assert torch.load(saved(dict(best=np.float64(1.5))))['best'] == 1.5


def test_nothing_is_allowed_where_log_buffers_load_already():
    assert compat.allow_history_buffer() is False  # import mmc2v did it
    before = len(torch.serialization.get_safe_globals())
    compat.apply()
    assert len(torch.serialization.get_safe_globals()) == before


def test_log_buffers_are_allowed_where_they_are_refused():
    assert python("""
        import importlib.util, sys
        import torch
        spec = importlib.util.spec_from_file_location('compat', 'mmc2v/compat.py')
        compat = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(compat)
        print(compat.allow_history_buffer(), compat.allow_history_buffer())
        """) == ['True', 'False']


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
def test_weights_only_stays_strict(function, args):
    """The stand-in for getattr serves log buffers' public methods; nothing else is let through."""
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        torch.load(saved(Call(function, *args)))
    assert torch.load(saved(Call(getattr, HistoryBuffer, 'mean'))) is HistoryBuffer.mean
