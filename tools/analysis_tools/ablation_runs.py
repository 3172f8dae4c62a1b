"""The runs of the ablation and what was measured of them, in folders of theirs or in one file."""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

VARIANTS = {
    'mean': 'mean pooling',
    'mean_tab': 'mean pooling + TAB',
    'transformer': 'temporal transformer',
    'transformer_long': 'temporal transformer, 4 times the steps',
    'transformer_positions': 'temporal transformer, large positions',
    'tdb': 'TDB',
    'tdb_long': 'TDB, 4 times the steps',
    'full': 'TDB + TAB, K = 5 (CLIP2Video)',
    'full_frame_branch': 'TDB + TAB, no differences in its coarse branch',
    'full_k1': 'TDB + TAB, K = 1',
    'full_k3': 'TDB + TAB, K = 3',
    'full_k7': 'TDB + TAB, K = 7',
    'full_random_batches': 'TDB + TAB, K = 5, batches at random',
}
LONG = ('transformer_long', 'tdb_long')  # run only where they are asked for
T = TypeVar('T')
Figures = Mapping[str, float]
Results = Mapping[tuple[str, int], Figures]  # of each variant and seed
Curves = Mapping[tuple[str, int], Mapping[int, Figures]]  # after so many steps
# What the report reads: R@1 and pair R@1 of both directions, of all and of each kind.
_KEPT = re.compile(r'(t2v|v2t)(_ties_won)?/(\w+_)?R1')


def read_curve(work_dir: Path) -> dict[int, Figures]:
    """Return the figures of each validation of a run, by the number of steps before it."""
    return _by_step(json.loads((work_dir / 'validations.json').read_text()))


def _by_step(found: Mapping[str, Figures]) -> dict[int, Figures]:
    return {int(step): figures for step, figures in found.items()}


def last(curve: Mapping[int, Figures]) -> Figures:
    """Return the figures of the last validation."""
    return curve[max(curve)]


def of_variant(runs: Mapping[tuple[str, int], T], name: str) -> list[T]:
    """Return what belongs to the runs of a variant, by seed."""
    return [found for (variant, _), found in sorted(
        runs.items(), key=lambda run: run[0]) if variant == name]


def title_of(kind: str) -> str:
    """Return the name of a kind as tables and pictures have it."""
    return kind.replace('_', ' ')


def read_curves(*sources: Path) -> Curves:
    """Return the figures of all finished runs.

    Args:
        *sources (Path): Folders of runs, or files of :func:`write_curves`. Where several have a
            run, the first counts.

    Raises:
        ValueError: If there is none.
    """
    found: dict[tuple[str, int], Mapping[int, Figures]] = {}
    for source in sources:
        if source.is_file():
            runs = {name: _by_step(curve)
                    for name, curve in json.loads(source.read_text()).items()}
        else:
            runs = {path.parent.name: read_curve(path.parent)
                    for path in sorted(source.glob('*-seed*/best_and_last.json'))
                    if path.parent.name.split('-')[0] in VARIANTS}
        for name, curve in runs.items():
            variant, _, seed = name.partition('-seed')
            found.setdefault((variant, int(seed)), curve)
    if not found:
        raise ValueError(f"{', '.join(map(repr, map(str, sources)))} holds no finished run of the "
                         'ablation; train them by tools/analysis_tools/ablation.py')
    return found


def write_curves(curves: Curves, path: Path) -> None:
    """Write the figures of the report, a line a validation.

    Args:
        curves (Curves): Of each variant and seed.
        path (Path): JSON file.
    """
    from mmc2v.whole_files import write_whole

    runs = []
    for (name, seed), curve in sorted(curves.items()):
        lines = [f'  "{step}": ' + json.dumps({
            key: round(value, 6) for key, value in figures.items() if _KEPT.fullmatch(key)})
            for step, figures in sorted(curve.items())]
        runs.append(f' "{name}-seed{seed}": {{\n' + ',\n'.join(lines) + '}')
    write_whole(path, ('{\n' + ',\n'.join(runs) + '}\n').encode())
