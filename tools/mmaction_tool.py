"""Run one of MMAction2's own tools on a config of ours, where mmc2v has mended the environment.

    python tools/mmaction_tool.py analysis_tools/get_flops.py CONFIG --shape 8 3 64 64
    python tools/mmaction_tool.py deployment/publish_model.py CHECKPOINT OUT.pth

Tools that read a config import mmc2v by its custom_imports, but some need it before that, or read
none. Without arguments it lists the tools; docs/mixing.md says what works.
"""
import runpy
import sys
from pathlib import Path

import mmaction

import mmc2v  # noqa: F401  (mends the environment before anything of MMAction2 runs)

TOOLS = Path(mmaction.__path__[0]) / '.mim' / 'tools'


def main() -> None:
    """Run the tool that the first argument names, with the rest as its command line."""
    names = [str(path.relative_to(TOOLS)) for path in sorted(TOOLS.rglob('*.py'))]
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit('\n'.join([__doc__, f'tools in {TOOLS}:', *names]))
    sys.argv = [str(TOOLS / sys.argv[1]), *sys.argv[2:]]
    sys.path[0] = str(Path(sys.argv[0]).parent)  # as if it had been called itself
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    main()
