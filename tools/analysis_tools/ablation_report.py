"""Write the tables, the bounds and the pictures of the ablation anew from its finished runs.

    python tools/analysis_tools/ablation_report.py work_dirs/ablation docs/ablation_runs.json

tools/analysis_tools/ablation.py does the same at its end; this trains nothing. The figures of all
runs go into a file beside the page, from which the report can be written again, also with further
runs: where several sources have a run, the first one counts.
"""
from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import numpy as np
from ablation_runs import (
    VARIANTS,
    Curves,
    Figures,
    Results,
    last,
    of_variant,
    read_curves,
    title_of,
    write_curves,
)
from results_page import page_with_markers, table, write_results

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, run

if TYPE_CHECKING:
    from ablation_picture import Bars

    from mmc2v.synthetic.moving_events import MovingEvents

BLIND = ('mean', 'mean_tab')  # to the order of frames
DIRECTIONS = {'t2v': 'T2V', 'v2t': 'V2T'}
LEARNED = 90  # percent of twins told apart


def summary_line(figures: Figures) -> str:
    """Say in a few words what a run reached."""
    return f"T2V R@1 {figures['t2v/R1']:.1f}, V2T {figures['v2t/R1']:.1f}"


def spread_of(values: Sequence) -> np.ndarray:
    """Return the standard deviation over runs; 0 for a single one."""
    return np.std(values, axis=0, ddof=min(1, len(values) - 1))


def over_seeds(results: Results, name: str, figure) -> str:
    """Return 'mean ± standard deviation' over seeds of ``figure(figures of a run)``."""
    values = [figure(figures) for figures in of_variant(results, name)]
    spread = f' ± {spread_of(values):.1f}' if len(values) > 1 else ''
    return f'{np.mean(values):.1f}{spread}'


def with_pair(results: Results, name: str, direction: str, kind: str) -> str:
    """Return R@1 of a kind over seeds, and in parentheses its mean pair R@1."""
    found = over_seeds(results, name, lambda m: m[f'{direction}/{kind}_R1'])
    pairs = over_seeds(results, name, lambda m: m[f'{direction}/{kind}_pair_R1'])
    return f"{found} ({pairs.split(' ')[0]})"


def twin_share(figures: Figures, direction: str, kind: str) -> float:
    """Return R@1 in percent of pair R@1: 50 is guessing between twins, 100 telling them apart.

    Ties count half, as guesses would.
    """
    won = figures.get(f'{direction}_ties_won/{kind}_R1', figures[f'{direction}/{kind}_R1'])
    found = (figures[f'{direction}/{kind}_R1'] + won) / 2
    return 100 * found / max(figures[f'{direction}/{kind}_pair_R1'], 1e-9)


def told_apart(figures: Figures, kind: str) -> float:
    """Return the mean of both directions' :func:`twin_share`."""
    return sum(twin_share(figures, direction, kind) for direction in DIRECTIONS) / len(DIRECTIONS)


def steps_to_learn(curve: Mapping[int, Figures], kind: str) -> Optional[int]:
    """Return after how many steps twins are told apart from then on, None if they are not."""
    learned = None
    for step in sorted(curve, reverse=True):
        if told_apart(curve[step], kind) < LEARNED:
            break
        learned = step
    return learned


def standard_errors_off(figures: Figures, direction: str, kind: str,
                        spec: MovingEvents) -> float:
    """Return by how many standard errors R@1 is off half of pair R@1; ties count half.

    The standard error is that of a coin tossed for every query whose pair was found.
    """
    queries = 2 * spec.num_test_pairs * (spec.phrasings if direction == 't2v' else 1)
    found = queries * figures[f'{direction}/{kind}_pair_R1'] / 100
    if not found:
        return 0.0
    return (twin_share(figures, direction, kind) / 100 - 0.5) * found / (0.25 * found) ** 0.5


def tables(curves: Curves, spec: MovingEvents) -> list[str]:
    """Lay out all tables as Markdown.

    Args:
        curves (Curves): Figures of each variant and seed.
        spec (MovingEvents): What they were measured on.
    """
    from ablation_picture import TEMPORAL

    results = {run: last(curve) for run, curve in curves.items()}
    kinds = spec.test_kinds
    names = [name for name in VARIANTS if of_variant(results, name)]
    lines = ['### Among all videos', '', *table(
        ['variant', 'T2V R@1', 'V2T R@1', 'T2V pair R@1', 'V2T pair R@1'],
        [[VARIANTS[name], *(over_seeds(results, name, lambda m, key=key: m[key]) for key in (
            't2v/R1', 'v2t/R1', 't2v/pair_R1', 'v2t/pair_R1'))] for name in names])]
    for direction, title in DIRECTIONS.items():
        lines += [f'### {title} R@1 (pair R@1) by kind of caption, among videos of that kind', '',
                  *table(['variant', *map(title_of, kinds)], [
                      [VARIANTS[name], *(with_pair(results, name, direction, kind)
                                         for kind in kinds)] for name in names])]
    lines += ['### Twins told apart: R@1 in percent of pair R@1', '',
              '50 is guessing, 100 is always right; T2V / V2T, ties count half.', '', *table(
                  ['variant', *map(title_of, TEMPORAL)],
                  [[VARIANTS[name], *(' / '.join(over_seeds(
                      results, name, lambda m, d=d, kind=kind: twin_share(m, d, kind))
                      for d in DIRECTIONS) for kind in TEMPORAL)] for name in names])]
    return [*lines, *steps_table(curves, names, TEMPORAL), *plateau(results, names, spec),
            *bounds(results, spec, TEMPORAL)]


def steps_table(curves: Curves, names: list[str], kinds: list[str]) -> list[str]:
    """Lay out when each seed of a variant had learned a kind."""
    def cell(name: str, kind: str) -> str:
        steps = [steps_to_learn(curve, kind) for curve in of_variant(curves, name)]
        return ', '.join('not' if step is None else str(step) for step in steps)

    return [f'### Steps until {LEARNED} of 100 twins are told apart', '',
            'Mean of T2V and V2T, at the first validation from which it stays so; one number a '
            'seed, "not" where it is not reached in the steps of the run.', '', *table(
                ['variant', 'steps', *map(title_of, kinds)],
                [[VARIANTS[name], str(max(map(max, of_variant(curves, name)))),
                  *(cell(name, kind) for kind in kinds)] for name in names])]


def plateau(results: Results, names: list[str], spec: MovingEvents) -> list[str]:
    """Say how well looks are known at the end: the least pair R@1, and the widest spread."""
    seen = {}
    for name in names:
        for direction in DIRECTIONS:
            for kind in spec.test_kinds:
                values = [figures[f'{direction}/{kind}_pair_R1']
                          for figures in of_variant(results, name)]
                seen[VARIANTS[name], DIRECTIONS[direction], title_of(kind)] = (
                    float(np.mean(values)), float(spread_of(values)))
    below = sum(mean < 90 for mean, _ in seen.values())
    wide = sum(spread > 4 for _, spread in seen.values())
    least, widest = (pick(seen, key=lambda key, n=number: seen[key][n])
                     for pick, number in ((min, 0), (max, 1)))
    return ['### Have they learned what things look like?', '',
            f'Of {len(seen)} pair R@1 by variant, direction and kind {len(seen) - below} are at '
            f'least 90 % in the mean over seeds; the least is {seen[least][0]:.1f} '
            f'({", ".join(least)}). {len(seen) - wide} have a standard deviation of at most 4 '
            f'points over seeds; the widest is {seen[widest][1]:.1f} ({", ".join(widest)}).', '']


def bounds(results: Results, spec: MovingEvents, kinds: list[str]) -> list[str]:
    """Say whether models without time sit at the bound."""
    off = [(abs(standard_errors_off(figures, direction, kind, spec)), name, seed, direction, kind)
           for (name, seed), figures in results.items() if name in BLIND
           for direction in DIRECTIONS for kind in kinds]
    if not off:
        return []
    worst, name, seed, direction, kind = max(off)
    beyond = sum(value > 3 for value, *_ in off)
    queries = 2 * spec.num_test_pairs
    return [
        '### Bounds', '',
        'A model without time embeds twins alike, so its expected R@1 is half of its pair R@1. '
        f'With {queries * spec.phrasings} captions and {queries} videos of each kind, one standard '
        f'error of R@1 is at most {50 * (queries * spec.phrasings) ** -0.5:.1f} (T2V) and '
        f'{50 * queries ** -0.5:.1f} (V2T) points. Of {len(off)} figures of the variants without '
        f'time, {beyond} are further than three standard errors off half of their pair R@1; the '
        f'furthest is {worst:.1f} off ({VARIANTS[name]}, seed {seed}, {kind}, '
        f'{DIRECTIONS[direction]}). Ties, which the tables of R@1 count against the model, count '
        'half here.', '']


def bars_of(results: Results) -> list[Bars]:
    """Return what is drawn, for each variant that was run."""
    from ablation_picture import KINDS, TEMPORAL, Bars

    bars = []
    for name in VARIANTS:
        runs = of_variant(results, name)
        if runs:
            bars.append(Bars(
                VARIANTS[name],
                _mean_and_spread([[twin_share(m, 't2v', kind) for kind in TEMPORAL] for m in runs]),
                _mean_and_spread([[m[f't2v/{kind}_R1'] for kind in KINDS] for m in runs]),
                np.mean([[m[f't2v/{kind}_pair_R1'] for kind in KINDS] for m in runs], axis=0)))
    return bars


def _mean_and_spread(runs: list[list[float]]) -> np.ndarray:
    return np.stack([np.mean(runs, axis=0), spread_of(runs)])


def lines_of(curves: Curves) -> dict[str, dict[int, list[float]]]:
    """Return what is drawn over steps: by variant and step, twins told apart of each kind.

    It is the mean over seeds.
    """
    from ablation_picture import TEMPORAL

    lines: dict[str, dict[int, list[float]]] = {}
    for name in VARIANTS:
        runs = of_variant(curves, name)
        common = set.intersection(*map(set, runs)) if runs else ()
        for step in sorted(common):
            lines.setdefault(VARIANTS[name], {})[step] = [
                float(np.mean([told_apart(curve[step], kind) for curve in runs]))
                for kind in TEMPORAL]
    return lines


def write_report(curves: Curves, path: Path, date: datetime.date) -> None:
    """Write the part of the report between the markers anew, and the pictures beside it.

    Args:
        curves (Curves): Figures of each variant and seed.
        path (Path): Markdown file; what stands outside the markers is kept.
        date (datetime.date): Of today.

    Raises:
        ValueError: If the file lacks the markers.
    """
    from ablation_picture import picture, picture_of_steps

    from mmc2v.synthetic.moving_events import MovingEvents

    seeds = sorted({seed for _, seed in curves})
    image, steps = path.with_suffix('.png'), path.with_name(f'{path.stem}_steps.png')
    runs = path.with_name(f'{path.stem}_runs.json')
    lines = ['',
             f'Written on {date} by `python tools/analysis_tools/ablation.py`: '
             f'{len(curves)} runs, seeds {", ".join(map(str, seeds))}; mean ± standard deviation '
             'over seeds.', '', f'![twins told apart, and T2V R@1 by kind]({image.name})', '',
             f'![twins told apart over steps]({steps.name})', '',
             f'The figures of every validation of every run: [{runs.name}]({runs.name}).', '',
             *tables(curves, MovingEvents())]
    page_with_markers(path)  # before the pictures are others
    picture(bars_of({run: last(curve) for run, curve in curves.items()}), image)
    picture_of_steps(lines_of(curves), steps)
    write_results(path, lines)
    write_curves(curves, runs)


def main() -> None:
    """Read the figures and write."""
    parser = Parser(__doc__)
    parser.add_argument('runs', type=Path, nargs='+', help='folder of runs, --out of ablation.py, '
                        'or the figures that a report wrote')
    parser.add_argument('--report', type=Path, help='file whose generated part is written anew; '
                        'default docs/ablation.md',
                        default=Path(__file__).resolve().parents[2] / 'docs' / 'ablation.md')
    args = parser.parse_args()
    curves = read_curves(*args.runs)
    write_report(curves, args.report, datetime.date.today())
    print(f'{len(curves)} runs; written: {args.report}')


if __name__ == '__main__':
    run(main)
