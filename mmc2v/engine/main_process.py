"""What one process decides for all."""
from collections.abc import Callable
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process


def on_main_process(action: Callable[..., Any], *args: Any) -> Any:
    """Do something on the main process alone; all ranks call this and go on alike.

    Args:
        action (Callable): What to do; returns what can be pickled.
        *args: Its arguments.

    Returns:
        Any: Its result, on all ranks.

    Raises:
        OSError, ValueError: On all ranks, of which none waits for another, as the action raised it.
    """
    outcome: list[Any] = [None, None]
    if is_main_process():
        try:
            outcome[0] = action(*args)
        except (OSError, ValueError) as error:
            outcome[1] = error
    broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
