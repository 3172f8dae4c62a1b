"""Metrics as a table for people."""
from collections.abc import Mapping
from typing import Optional

from .published import PublishedFigures

_COLUMNS = {'R1': 'R@1', 'R5': 'R@5', 'R10': 'R@10', 'MdR': 'MdR', 'MnR': 'MnR'}
_VARIANTS = {'': [], '_all_captions': ['among all captions'], '_dsl': ['with dual softmax'],
             '_qbnorm': ['with QB-Norm']}
# titles of rankings by their names, such as v2t_dsl_ties_won
_TITLES = {f'{direction}{variant}{ties}': f'{direction.upper()} {", ".join(how + won)}'.rstrip()
           for direction in ('t2v', 'v2t') for variant, how in _VARIANTS.items()
           for ties, won in (('', []), ('_ties_won', ['ties won']))}


def format_table(metrics: dict[str, float],
                 published: Optional[PublishedFigures] = None) -> str:
    """Lay out retrieval metrics, one row a ranking, and what they were measured on.

    Args:
        metrics (dict[str, float]): Of :func:`~mmc2v.evaluation.protocols.retrieval_metrics`;
            further recalls such as ``t2v/pair_R1`` become columns of their own.
        published (PublishedFigures, optional): A paper's figures for the same protocol; a row of
            them stands below that of the ranking, and the last line says whose they are.

    Returns:
        str: Lines without a newline at the end.
    """
    names = [key[:-len('/R1')] for key in metrics if key.endswith('/R1')]
    known = {*_COLUMNS, 'tied'}
    extra = list(dict.fromkeys(key.split('/')[1] for key in metrics
                               if '/' in key and key.split('/')[1] not in known))
    titles = [*_COLUMNS.values(), *(name.replace('_R', ' R@') for name in extra)]
    rows = []
    for name in names:
        rows.append((_TITLES.get(name, name), name, metrics))
        if published is not None and f'{name}/R1' in published.figures:
            rows.append((f"{_TITLES[name]}, the paper's", name, published.figures))
    width = max([5, *(len(title) for title, *_ in rows)])
    has_ties = any(f'{name}/tied' in metrics for name in names)
    widths = [max(10, len(title) + 2) for title in titles]
    lines = [' ' * width + ''.join(f'{title:>{w}}' for title, w in zip(titles, widths))
             + ('   tied queries' if has_ties else '')]
    lines += [f'{title:{width}}' + _cells(name, figures, [*_COLUMNS, *extra], widths)
              for title, name, figures in rows]
    if 'videos' in metrics:
        lines.append(_counts(metrics))
    if published is not None:
        lines.append(f"the paper's: {published.title}; the authors' figures, not measured here")
    return '\n'.join(line.rstrip() for line in lines)


def _cells(name: str, figures: Mapping[str, float], columns: list[str], widths: list[int]) -> str:
    """Lay out the figures of one ranking; a column that it lacks is left blank."""
    cells = [figures.get(f'{name}/{column}') for column in columns]
    text = ''.join(' ' * w if cell is None else f'{cell:{w}.1f}' for cell, w in zip(cells, widths))
    tied = figures.get(f'{name}/tied')
    return text if tied is None else f'{text}{int(tied):15d}'


def _counts(metrics: dict[str, float]) -> str:
    """Say how much of the data set the figures are of."""
    videos = int(metrics['videos'])
    text = f'{videos} videos, {int(metrics["captions"])} captions'
    if 'listed_videos' in metrics:
        listed, missing = int(metrics['listed_videos']), int(metrics['missing'])
        text += (f'; {missing} of the {listed} videos that the protocol lists are missing '
                 f'({missing / max(1, listed):.1%})')
    undecodable = int(metrics['undecodable'])
    return text + (f'; {undecodable} undecodable ({undecodable / videos:.1%})'
                   + (', counted as not found' if undecodable else ''))
