"""Metrics as a table for people."""

_COLUMNS = ('R1', 'R5', 'R10', 'MdR', 'MnR')
_TITLES = ('R@1', 'R@5', 'R@10', 'MdR', 'MnR')


def format_table(metrics: dict[str, float]) -> str:
    """Lay out retrieval metrics, one row a direction.

    Args:
        metrics (dict[str, float]): Keys as ``t2v/R1``; further recalls such as ``t2v/pair_R1``
            become columns of their own.

    Returns:
        str: Lines without a newline at the end.
    """
    directions = [d for d in ('t2v', 'v2t') if f'{d}/R1' in metrics]
    extra = [key.split('/')[1] for key in metrics
             if key.startswith('t2v/') and key.split('/')[1] not in _COLUMNS]
    titles = (*_TITLES, *(name.replace('_R', ' R@') for name in extra))
    lines = ['     ' + ''.join(f'{title:>10}' for title in titles)]
    for direction in directions:
        cells = [metrics[f'{direction}/{column}'] for column in (*_COLUMNS, *extra)]
        lines.append(f'{direction.upper():5}' + ''.join(f'{cell:10.1f}' for cell in cells))
    return '\n'.join(lines)
