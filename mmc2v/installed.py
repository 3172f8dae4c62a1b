"""Where configs and tools lie: in the package's folder ``.mim``, or beside it in the repository."""
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_PREFIX = 'mmc2v::'


def folder_of(name: str) -> Path:
    """Return the folder of the configs or of the tools.

    Args:
        name (str): 'configs' or 'tools'.

    Raises:
        FileNotFoundError: If the package was installed without them.
    """
    for root in (_PACKAGE / '.mim', _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"'{_PACKAGE}' has no {name}: install mmc2v again, by pip")


def config_file(name: str) -> str:
    """Return the path of a config.

    Args:
        name (str): A path, or ``mmc2v::clip2video_msrvtt.py``: one of the configs that come with
            the package, below its folder of configs.

    Raises:
        FileNotFoundError: If the package has no such config.
    """
    if not name.startswith(_PREFIX):
        return name
    folder = folder_of('configs')
    path = folder / name[len(_PREFIX):]
    if not path.is_file():
        known = sorted(str(other.relative_to(folder)) for other in folder.rglob('*.py')
                       if '_base_' not in other.parts)
        raise FileNotFoundError(f"mmc2v has no config '{name}'; there are {', '.join(known)}")
    return str(path)
