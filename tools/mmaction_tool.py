"""Run one of MMAction2's own tools on a config of ours, where mmc2v has mended the environment.

    python tools/mmaction_tool.py analysis_tools/get_flops.py CONFIG --shape 8 3 64 64
    python tools/mmaction_tool.py deployment/publish_model.py CHECKPOINT OUT.pth

Tools that read a config import mmc2v by its custom_imports, but some need it before that, or read
none. Without arguments it lists the tools; docs/mixing.md says what works.
"""
import argparse
import difflib
import importlib.util
import runpy
import sys
from pathlib import Path
from typing import Any

from command_line import Parser


def main() -> None:
    """Run the tool that the first argument names, with the rest as its command line."""
    parser = Parser(__doc__)
    parser.add_argument('tool', nargs='?', help="path below MMAction2's folder of tools")
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help='what that tool takes')
    args = parser.parse_args()
    spec = importlib.util.find_spec('mmaction')
    if spec is None:
        parser.error('MMAction2 is not installed')
    tools = Path(spec.origin).parent / '.mim' / 'tools'
    names = [str(path.relative_to(tools)) for path in sorted(tools.rglob('*.py'))]
    if args.tool is None:
        sys.exit('\n'.join([__doc__, f'tools in {tools}:', *names]))
    if args.tool not in names:
        nearest = difflib.get_close_matches(args.tool, names, n=1, cutoff=0.4)
        hint = f"did you mean '{nearest[0]}'?" if nearest else 'without arguments all are listed'
        parser.error(f"MMAction2 has no tool '{args.tool}'; {hint}")
    import torch

    # mends the environment before anything of MMAction2 runs
    from mmc2v.checkpoint_reading import read_checkpoint_file

    original = torch.load

    def load(file: Any, map_location: Any = None, **kwargs) -> Any:
        """Read checkpoints as we do, and leave streams, which are no files of anybody, to torch."""
        if isinstance(file, (str, Path)):
            return read_checkpoint_file(file, map_location)
        return original(file, map_location, **kwargs)

    torch.load = load  # those tools call it without weights_only
    sys.argv = [str(tools / args.tool), *args.arguments]
    sys.path[0] = str(Path(sys.argv[0]).parent)  # as if it had been called itself
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    main()  # what MMAction2's tools raise is theirs
