"""Progress of work that may take long, on the terminal of the main process alone."""
import sys
from collections.abc import Iterable
from typing import TypeVar

from mmengine.dist import is_main_process
from tqdm import tqdm

T = TypeVar('T')


def progress(items: Iterable[T], title: str, unit: str = 'it') -> Iterable[T]:
    """Show how far a loop is and how long it will take, once it has taken three seconds.

    Nothing is shown on other processes, nor where output goes to a file.

    Args:
        items (Iterable): What is gone through.
        title (str): Stands before the bar.
        unit (str): What an item is. Defaults to 'it'.

    Returns:
        Iterable: The items.
    """
    if not is_main_process() or not sys.stderr.isatty():
        return items
    return tqdm(items, desc=title, unit=unit, delay=3, leave=False)
