"""Shortens what others say to what fits into a message of ours."""
from typing import Union


def first_line_of(message: Union[str, BaseException]) -> str:
    """Return the first line of a text or an error, its type where it says nothing."""
    return (str(message).strip().splitlines() or [type(message).__name__])[0]
