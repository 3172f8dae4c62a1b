"""Try every backbone of MMAction2 and every architecture of open_clip as towers of CLIP2Video.

    python tools/analysis_tools/survey_towers.py --write docs/towers.md

Each is built at random weights, under TDB and TAB, and goes forward and backward. What is large is
tried on the meta device, where only shapes are computed. Takes some minutes on one core.
"""
import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, non_negative_float, run

MARKER = '<!-- generated -->'  # what follows it is written anew


def main() -> None:
    """Survey, print and write."""
    parser = Parser(__doc__)
    parser.add_argument('--write', type=Path, help='Markdown file whose generated part is renewed; '
                        'default none, the tables are only printed')
    parser.add_argument('--only', choices=['mmaction', 'open_clip'],
                        help='try those of one package; default both')
    parser.add_argument('--run-below', type=non_negative_float, default=100.0,
                        help='architectures of open_clip with fewer million parameters are run; '
                        'default 100')
    args = parser.parse_args()
    head = args.write.read_text().split(MARKER)[0] if args.write else ''  # before the long work
    import torch
    from tower_trials import (
        mmaction_backbones,
        open_clip_architectures,
        table,
        try_mmaction,
        try_open_clip,
    )
    from tqdm import tqdm

    from mmc2v.whole_files import write_whole

    warnings.filterwarnings('ignore')
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    parts = []
    if args.only != 'open_clip':
        names = mmaction_backbones()
        rows = [try_mmaction(name) for name in tqdm(names, desc='MMAction2')]
        good = sum(row['works'] != 'no' for row in rows)
        parts += [f'## MMAction2: {good} of {len(names)} backbones work', '', *table(
            rows, ['backbone', 'reads', 'frames', 'padding', 'works', 'note']), '']
    if args.only != 'mmaction':
        names = open_clip_architectures()
        rows = [try_open_clip(name, args.run_below) for name in tqdm(names, desc='open_clip')]
        good = sum(row['works'] != 'no' for row in rows)
        parts += [f'## open_clip {version("open_clip_torch")}: {good} of {len(names)} '
                  'architectures work', '', *table(rows, [
                      'architecture', 'works', 'M', 'size', 'width', 'tower', 'context',
                      'tokenizer', 'pooling', 'note']), '']
    print('\n'.join(parts))
    if args.write:
        write_whole(args.write, (head + MARKER + '\n\n' + '\n'.join(parts)).encode())


if __name__ == '__main__':
    run(main)
