"""The pictures of the ablation."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import matplotlib
import numpy as np
from ablation_runs import title_of

from mmc2v.synthetic.moving_events import MovingEvents
from mmc2v.whole_files import open_whole

matplotlib.use('Agg')
from matplotlib import pyplot as plt

KINDS = MovingEvents.test_kinds
TEMPORAL = [kind for kind in KINDS if kind != 'static']  # kinds that have twins


class Bars(NamedTuple):
    """What is drawn of one variant, each a number a kind of caption, in percent.

    Attributes:
        label (str): Its name.
        shares (np.ndarray): Twins told apart; (2, kinds but static): mean over seeds, and standard
            deviation.
        found (np.ndarray): T2V R@1, (2, kinds) likewise.
        pairs (np.ndarray): T2V pair R@1, (kinds,) means.
    """

    label: str
    shares: np.ndarray
    found: np.ndarray
    pairs: np.ndarray


def picture(bars: Sequence[Bars], path: Path) -> None:
    """Draw how well twins are told apart, and below it T2V R@1 with pair R@1 as outlines.

    Args:
        bars (Sequence[Bars]): One a variant.
        path (Path): PNG to write.
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=(12, 10), layout='constrained')
    for number, variant in enumerate(bars):
        _bars(above, variant.shares, number, len(bars), label=variant.label)
        _bars(below, variant.found, number, len(bars), outlines=variant.pairs)
    above.axhline(50, color='black', linewidth=0.8, linestyle='--')
    above.set_title('Twins told apart, in 100 cases whose pair was found: 50 (dashed) is guessing',
                    loc='left', fontsize=12)
    above.set_xticks(range(len(TEMPORAL)), [*map(title_of, TEMPORAL)], fontsize=11)
    below.set_title('T2V R@1 among videos of the kind, %; outlines: pair R@1, where the reversed '
                    'twin counts as well', loc='left', fontsize=12)
    below.set_xticks(range(len(KINDS)), [*map(title_of, KINDS)], fontsize=11)
    figure.legend(fontsize=12, ncols=2, loc='outside lower center')
    for axes, values in ((above, [variant.shares for variant in bars]),
                         (below, [variant.found for variant in bars])):
        ends = np.array([[mean - spread, mean + spread] for mean, spread in values])
        axes.set_ylim(min(0, ends.min() - 2), max(105, ends.max() + 2))
        axes.set_yticks(range(0, 101, 20))
    _save(figure, path)


def picture_of_steps(lines: Mapping[str, Mapping[int, Sequence[float]]], path: Path) -> None:
    """Draw how well twins are told apart after so many steps, a plot a kind.

    Args:
        lines (Mapping): By variant and step, percent of each kind of :data:`TEMPORAL`.
        path (Path): PNG to write.
    """
    figure, plots = plt.subplots(1, len(TEMPORAL), figsize=(16, 4.5), sharey=True,
                                 layout='constrained')
    for number, (axes, title) in enumerate(zip(plots, map(title_of, TEMPORAL))):
        for color, (label, line) in enumerate(lines.items()):
            steps = sorted(line)
            axes.plot(steps, [line[step][number] for step in steps], label=label,
                      color=_color(color))
        axes.axhline(50, color='black', linewidth=0.8, linestyle='--')
        axes.set_title(title, fontsize=12)
        axes.set_xscale('log', base=2)  # one run may be many times as long as the others
        axes.xaxis.set_major_formatter('{x:.0f}')
        axes.set_xlabel('steps')
    plots[0].set_ylabel('twins told apart, %')
    plots[0].set_ylim(40, 102)
    figure.legend(*plots[0].get_legend_handles_labels(), fontsize=11, ncols=4,
                  loc='outside lower center')
    _save(figure, path)


def _color(number: int) -> tuple[float, ...]:
    return plt.get_cmap('tab20')(number * 2 % 20 + number // 10)


def _save(figure: plt.Figure, path: Path) -> None:
    with open_whole(path) as file:
        figure.savefig(file, format='png', dpi=90)
    plt.close(figure)


def _bars(axes: plt.Axes, values: np.ndarray, number: int, count: int, label: str = '',
          outlines: Optional[np.ndarray] = None) -> None:
    """Draw (2, kinds) means and standard deviations of one variant."""
    width = 0.9 / count
    place = np.arange(values.shape[1]) - 0.45 + width * (number + 0.5)
    if outlines is not None:
        axes.bar(place, outlines, 0.9 * width, fill=False, edgecolor='0.6', linewidth=0.8)
    axes.bar(place, values[0], 0.9 * width, label=label or None,
             yerr=values[1], error_kw=dict(elinewidth=1), color=_color(number))
