"""Set models side by side whose order of time was measured, and write the tables into a page.

    python tools/analysis_tools/order_benchmark_report.py RESULT.json ... --write PAGE.md

Results are those of tools/analysis_tools/order_benchmark.py --out RESULT.json, on the same videos.
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Optional

from results_page import page_with_markers, table, write_results

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, run

FIGURES = {'text': 'text', 'video': 'video', 'group': 'group', 't2v': 'told apart, T2V',
           'v2t': 'told apart, V2T', 'ap': 'AP'}
# In percent; what a model reaches by construction that guesses, and one that sees frames as a set.
BOUNDS = {
    'chance': dict(text='25', video='25', group='16.7', t2v='50', v2t='50', ap='50'),
    'frames as a set': dict(text='0', video='0', group='0', t2v='50', v2t='50', ap='50'),
    'always right': dict.fromkeys(FIGURES, '100'),
}
CONTROL = 'static'
Cell = tuple[Optional[float], Optional[float]]


def show(figure: Optional[Cell]) -> str:
    """Return a figure with its standard error; a dash where there is none."""
    if figure is None or figure[0] is None:
        return '-'
    return f'{figure[0]:.1f}' + ('' if figure[1] is None else f' ± {figure[1]:.1f}')


def over_kinds(result: dict[str, Any], name: str) -> Cell:
    """Return the mean of a figure over the kinds that need order.

    Kinds are drawn independently, so its error is the root of the sum of squares, over their
    number.
    """
    cells = [entry['figures'].get(name) or (None, None)
             for kind, entry in result['kinds'].items() if kind != CONTROL]
    values, errors = zip(*cells) if cells else ((None,), (None,))
    if None in values:
        return None, None
    error = None if None in errors else sum(e ** 2 for e in errors) ** 0.5 / len(errors)
    return sum(values) / len(values), error


def bound_rows(names: list[str], before: int = 0) -> list[list[str]]:
    """Return the last rows of a table: its bounds, with so many empty cells after the title."""
    return [[f'*{title}*', *[''] * before, *(bound[name] for name in names)]
            for title, bound in BOUNDS.items()]


def result_lines(result: dict[str, Any]) -> list[str]:
    """Lay out the figures of one model as Markdown, kind by kind."""
    kinds = result['kinds']
    rows = [[f'{kind} (control)' if kind == CONTROL else kind, str(entry['pairs']),
             show(entry['figures']['tied']),
             *(show(entry['figures'].get(name)) for name in FIGURES)]
            for kind, entry in kinds.items()]
    ordered = [kind for kind in kinds if kind != CONTROL]
    if len(ordered) > 1:
        rows.append([f'mean of {", ".join(ordered)}',
                     str(sum(kinds[kind]['pairs'] for kind in ordered)),
                     *(show(over_kinds(result, name)) for name in ('tied', *FIGURES))])
    return [f"## {result['name']}", '',
            *table(['kind', 'pairs', 'tied', *FIGURES.values()], [*rows, *bound_rows(
                list(FIGURES), before=2)]),
            *remarks(result)]


def remarks(result: dict[str, Any]) -> list[str]:
    """Say how the model sampled, and whether it saw anything but a set of frames."""
    differences = [entry['difference'] for kind, entry in result['kinds'].items()
                   if kind != CONTROL]
    lines = []
    if differences:
        largest = max(differences)
        tied = largest <= result['tolerance']
        lines.append(
            f'Scores of twins differ by at most {largest:.1e} of the largest score: '
            + (f"all tie (tolerance {result['tolerance']:g}), the model sees frames as a set."
               if tied else f"more than the tolerance of {result['tolerance']:g}, the model sees a "
               'difference between twins.'))
    lines.append(f"Sampling: {result['sampling']}. " + {
        True: 'Both of two twins are shown the same frames.',
        False: 'It takes OTHER frames of the twin: figures may come from that, and not from order.',
        None: 'Whether both of two twins are shown the same frames was not seen.',
    }[result['same_frames']])
    return lines


def comparison(results: list[dict[str, Any]]) -> list[str]:
    """Set models side by side: means over kinds, the control, then each kind."""
    names = list(FIGURES)
    lines = ['### Mean over the kinds that need order', '', *table(
        ['model', *FIGURES.values()],
        [[result['name'], *(show(over_kinds(result, name)) for name in names)]
         for result in results] + bound_rows(names))]
    for kind in dict.fromkeys(kind for result in results for kind in result['kinds']):
        title = f'{kind}, the control: looks alone are enough' if kind == CONTROL else kind
        figures = [(result['name'], result['kinds'][kind]['figures'])
                   for result in results if kind in result['kinds']]
        bounds = [row for row in bound_rows(names)
                  if kind != CONTROL or row[0] != '*frames as a set*']
        lines += [f'### {title}', '', *table(
            ['model', *FIGURES.values()],
            [[name, *(show(entry.get(key)) for key in names)] for name, entry in figures]
            + bounds)]
    for result in results:
        lines += [f"- **{result['name']}**. {' '.join(remarks(result))}"]
    return [*lines, '']


def read_result(path: Path) -> dict[str, Any]:
    """Read a file of order_benchmark.py.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is something else.
    """
    from mmc2v.strict_text import parse_json

    result = parse_json(path.read_text(encoding='utf-8'), path)
    if not isinstance(result, dict) or not {'name', 'kinds', 'made_with'} <= result.keys():
        raise ValueError(f"'{path}' is no result of tools/analysis_tools/order_benchmark.py --out")
    return result


def main() -> None:
    """Read, compare, print and write."""
    parser = Parser(__doc__)
    parser.add_argument('results', nargs='+', type=Path, help='files of order_benchmark.py --out')
    parser.add_argument('--write', type=Path, help='Markdown file whose part between markers is '
                        'written anew; default none, the tables are only printed')
    args = parser.parse_args()
    if args.write:
        page_with_markers(args.write)
    results = [read_result(path) for path in args.results]
    for path, result in zip(args.results, results):
        if result['made_with'] != results[0]['made_with']:
            raise ValueError(f"'{path}' was measured on videos made with {result['made_with']}, "
                             f"'{args.results[0]}' on {results[0]['made_with']}")
    lines = comparison(results)
    if args.write:
        made = ', '.join(f'{key} = {value}' for key, value in results[0]['made_with'].items()
                         if key != 'format')
        write_results(args.write, ['', f'Videos made with {made}. Percent, ± one standard error '
                                   'over pairs.', '', *lines])
    print('\n'.join(lines))


if __name__ == '__main__':
    run(main)
