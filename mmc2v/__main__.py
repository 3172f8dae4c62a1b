"""Run a tool by its name, wherever mmc2v is installed.

python -m mmc2v train mmc2v::clip2video_msrvtt.py
python -m mmc2v --where          # the folder of tools, for dist_train.sh and its siblings
"""
import runpy
import sys
from pathlib import Path

from .installed import folder_of


def tools() -> dict[str, Path]:
    """Return the scripts by their names; modules that scripts share are none."""
    return {path.stem: path for path in sorted(folder_of('tools').rglob('*.py'))
            if "if __name__ == '__main__':" in path.read_text(encoding='utf-8')}


def main() -> None:
    """Run what the command line names, as if it had been called by its path."""
    known = tools()
    if sys.argv[1:] == ['--where']:
        print(folder_of('tools'))
    elif len(sys.argv) < 2 or sys.argv[1] in ('-h', '--help'):
        print(f'{__doc__}\nTools: {", ".join(known)}')
    elif sys.argv[1] not in known:
        sys.exit(f"error: there is no tool '{sys.argv[1]}'; there are {', '.join(known)}")
    else:
        path = known[sys.argv[1]]
        sys.argv[:2] = [str(path)]
        sys.path[0] = str(path.parent)
        runpy.run_path(str(path), run_name='__main__')


if __name__ == '__main__':
    main()
