"""Faults of released packages, mended where they are present and nowhere else.

Each function handles one fault, names where it is tracked, and returns whether it had to act.
"""
import importlib
import importlib.metadata
import importlib.util
import sys
import types
from pathlib import Path

# Schemas last as long as the Library object that defined them.
_kept_alive = []


def require_packages() -> None:
    """Name what has to be installed beside mmc2v, in one command, if anything is missing.

    None of it is a hard requirement of the package. ``mmcv`` and ``mmengine`` have two owners each,
    and a user's must not be overwritten by the other. open_clip asks for torchvision, and
    torchvision, where there is none, for a torch of its own.

    Raises:
        ImportError: If a module cannot be found.
    """
    wanted: list[str] = []
    if not all(importlib.util.find_spec(name) for name in ('mmcv', 'mmengine')):
        wanted += ["'mmcv-lite>=2.0.1,<2.2'", "'mmengine>=0.10.4,<1'"]
    if importlib.util.find_spec('torchvision') is None:
        wanted += ['torchvision', f'torch=={importlib.metadata.version("torch")}']
    if importlib.util.find_spec('open_clip') is None:
        wanted += ["'open_clip_torch>=3.1,<4'"]
    if wanted:
        raise ImportError(
            f'mmc2v needs more than what is installed. This adds it, and keeps your torch:\n'
            f'    pip install {" ".join(wanted)}\n'
            'Instead of mmcv-lite, a compiled mmcv below 2.2 or onedl-mmcv serves as well; install '
            'one of the three only, because they own the same module.')


def lift_bound_on_mmcv() -> bool:
    """Let ``import mmaction`` work beside mmcv 2.2 and later.

    MMAction2 1.2.0 asserts mmcv < 2.2.0. For torch >= 2.6 with CUDA there are compiled ones only
    from 2.2 on (onedl-mmcv), which it works with. Other packages of OpenMMLab have the same bound:
    https://github.com/open-mmlab/mmdetection/issues/12312

    Returns:
        bool: True if the installed mmcv is refused and mmaction was imported in spite of it.
    """
    import mmcv
    from mmengine.utils import digit_version
    if 'mmaction' in sys.modules or digit_version(mmcv.__version__) < digit_version('2.2.0'):
        return False
    installed, mmcv.__version__ = mmcv.__version__, '2.1.0'  # mmaction looks once, while imported
    try:
        importlib.import_module('mmaction')
    finally:
        mmcv.__version__ = installed
    return True


def define_torchvision_schemas() -> bool:
    """Let ``import torchvision`` work beside a torch that its extension was not built for.

    torchvision registers fake kernels for ``torchvision::nms`` and ``torchvision::qnms`` on
    import, which fails where its ``_C`` library could not be loaded (a CUDA wheel beside a CPU
    torch). Defining the two schemas is enough; calling them still says that there is no kernel.
    https://github.com/pytorch/vision/issues/9085

    Returns:
        bool: True if the schemas were missing and have been defined.
    """
    import torch
    spec = importlib.util.find_spec('torchvision')
    if spec is None or spec.origin is None or 'torchvision' in sys.modules:
        return False
    extension = next(Path(spec.origin).parent.glob('_C*.so'), None)
    if extension is None:  # not Linux, or a build without C++ ops, which imports as it is
        return False
    try:
        torch.ops.load_library(str(extension))
        return False
    except (ImportError, OSError):
        pass
    if hasattr(torch.ops.torchvision, 'nms'):
        return False
    library = torch.library.Library('torchvision', 'FRAGMENT')
    library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    library.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    _kept_alive.append(library)
    return True


def stand_in_for_drn() -> bool:
    """Let ``import mmaction.models`` work where the wheel of MMAction2 lacks its DRN package.

    The stand-in's ``DRN`` can be imported and looked up; building it raises ImportError.
    https://github.com/open-mmlab/mmaction2/issues/2714

    Returns:
        bool: True if the files are missing and the stand-in was put in their place.
    """
    name = 'mmaction.models.localizers.drn'
    spec = importlib.util.find_spec('mmaction')  # does not import mmaction
    if spec is None or spec.origin is None:
        return False
    package = Path(spec.origin).parent / 'models' / 'localizers'
    if name in sys.modules or not package.is_dir() or (package / 'drn' / 'drn.py').exists():
        return False

    class DRN:
        """Stand-in for MMAction2's DRN, which its wheel does not contain."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError(
                'DRN is missing from the installed mmaction2 wheel. Install mmaction2 from '
                'source to use it: https://github.com/open-mmlab/mmaction2/issues/2714')

    outer, inner = types.ModuleType(name), types.ModuleType(f'{name}.drn')
    outer.__path__ = []  # marks it as a package
    outer.drn, inner.DRN = inner, DRN
    sys.modules[name], sys.modules[f'{name}.drn'] = outer, inner
    return True


def leave_out_vindlu() -> bool:
    """Let ``import mmaction.models`` work beside transformers 4.56 and later.

    MMAction2 imports its VindLU where any transformers from 4.28 on is installed, and VindLU asks
    ``transformers.modeling_utils`` for functions that have left it. MMAction2 then has what it has
    without transformers: classes of that name whose building raises ImportError.
    https://github.com/huggingface/transformers/issues/15543

    Returns:
        bool: True if VindLU could not be imported and was left out.
    """
    spec = importlib.util.find_spec('transformers')  # does not import transformers
    if spec is None or spec.origin is None or 'mmaction.models.multimodal' in sys.modules:
        return False
    wanted = Path(spec.origin).parent / 'modeling_utils.py'
    if not wanted.is_file() or 'apply_chunking_to_forward' in wanted.read_text(encoding='utf-8'):
        return False
    dependency = importlib.import_module('mmaction.utils.dependency')
    dependency.WITH_MULTIMODAL = False  # looked at once, while mmaction.models is imported
    return True


def _is_installed(package: str) -> bool:
    """Say whether a distribution or an importable, non-namespace package has this name."""
    try:
        importlib.metadata.distribution(package)
        return True
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None


def _get_installed_path(package: str) -> str:
    """Return the folder of a package, given the name of its distribution or its module.

    Raises:
        importlib.metadata.PackageNotFoundError: If neither is installed.
        RuntimeError: If it is a namespace package, which has no one folder.
    """
    module = package
    try:
        distribution = importlib.metadata.distribution(package)
        if not Path(distribution.locate_file(package)).exists():
            top_level = distribution.read_text('top_level.txt')
            module = top_level.split('\n')[0].strip() if top_level else package
    except importlib.metadata.PackageNotFoundError:
        if importlib.util.find_spec(package) is None:
            raise
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise RuntimeError(f'{package} is a namespace package: it has no installed path')
    return str(Path(spec.origin).parent)


def replace_pkg_resources() -> bool:
    """Give MMEngine ``is_installed`` and ``get_installed_path`` without ``pkg_resources``.

    setuptools >= 81 has no ``pkg_resources``, on which MMEngine 0.10 relies for
    ``_base_ = 'mmaction::...'``. MMEngine's own main branch has moved to importlib.metadata.
    https://github.com/open-mmlab/mmengine/pull/1676

    Returns:
        bool: True if ``pkg_resources`` is missing and the functions were replaced.
    """
    if importlib.util.find_spec('pkg_resources') is not None:
        return False
    import mmengine.config.config
    import mmengine.hub.hub
    import mmengine.utils.package_utils
    for module in (mmengine.utils.package_utils, mmengine.utils, mmengine.config.config,
                   mmengine.hub.hub):
        for name, function in (('is_installed', _is_installed),
                               ('get_installed_path', _get_installed_path)):
            if hasattr(module, name):
                setattr(module, name, function)
    return True


def know_own_configs() -> bool:
    """Let configs say ``_base_ = 'mmc2v::clip2video_msrvtt.py'``.

    MMEngine finds configs in installed packages by a table of OpenMMLab's own, and only below
    folders.

    Returns:
        bool: True if MMEngine did not know them.
    """
    import mmengine.config.config
    import mmengine.config.utils
    import mmengine.hub.hub
    table = mmengine.config.utils.MODULE2PACKAGE
    if 'mmc2v' in table:
        return False
    table['mmc2v'] = 'mmc2v'
    original = mmengine.config.utils._get_package_and_cfg_path

    def with_ours(cfg_path: str) -> tuple[str, str]:
        package, _, name = cfg_path.partition('::')
        return (package, name) if package == 'mmc2v' else original(cfg_path)

    for module in (mmengine.config.config, mmengine.hub.hub):
        module._get_package_and_cfg_path = with_ours
    return True


def format_configs_once() -> bool:
    """Let a run format its config once, and not again for every checkpoint.

    MMEngine has yapf format the text of the config wherever it is asked for, which is in each
    checkpoint, log and copy of it; of our configs that takes 0.2 to 0.9 s each time.

    Returns:
        bool: True if MMEngine formatted equal configs again and again.
    """
    from mmengine.config import Config
    original = Config.pretty_text.fget
    if original.__module__ == __name__:
        return False
    texts: dict[str, str] = {}

    def pretty_text(self: Config) -> str:
        content = repr((self._format_python_code, self.to_dict()))
        if content not in texts:
            if len(texts) == 8:  # a run has one config, in a few forms
                texts.clear()
            texts[content] = original(self)
        return texts[content]

    Config.pretty_text = property(pretty_text, doc=Config.pretty_text.__doc__)
    return True


def apply() -> None:
    """Mend everything that is broken in this environment; cheap where nothing is."""
    require_packages()
    define_torchvision_schemas()
    lift_bound_on_mmcv()
    stand_in_for_drn()
    leave_out_vindlu()
    replace_pkg_resources()
    know_own_configs()
    format_configs_once()
