"""What comes in an address, read strictly."""
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional

from .catalogue import Catalogue
from .errors import RefusedError
from .limits import Limits
from .queries import Query

_SECONDS = re.compile(r'[0-9]{1,9}(\.[0-9]{1,6})?')
_NUMBER = re.compile('[0-9]{1,9}')
_UPLOAD_ID = re.compile('[0-9a-f]{32}')
_KINDS = ('q', 'clip', 'upload')
_KNOWN = (*_KINDS, 'folder', 'min_length', 'max_length', 'per_video', 'offset', 'limit')


def read_query(pairs: Iterable[tuple[str, str]], catalogue: Catalogue, limits: Limits) -> Query:
    """Return the question that the parameters of an address ask.

    Args:
        pairs (Iterable[tuple[str, str]]): Names and values.
        catalogue (Catalogue): Where clips are looked up.
        limits (Limits): Of what may be asked.

    Raises:
        RefusedError: If they ask for nothing, or for what cannot be.
    """
    given = _single(list(pairs), _KNOWN)
    kinds = [kind for kind in _KINDS if kind in given]
    if len(kinds) != 1:
        raise _wrong('give one of q (a sentence), clip and upload')
    query: dict[str, Any] = {}
    if 'q' in given:
        query['text'] = _sentence(given['q'], limits)
    elif 'clip' in given:
        query['clip'] = catalogue.clip(given['clip'])
    elif _UPLOAD_ID.fullmatch(given['upload']):
        query['upload'] = given['upload']
    else:
        raise _wrong('upload is not the id of an uploaded video')
    query['folder'] = _plain(given.get('folder', ''), 'folder', 4096)
    for name in ('min_length', 'max_length'):
        if given.get(name):
            query[name] = _matching(given, name, _SECONDS, float, 'a number of seconds')
    for name, least, most in (('per_video', 1, 1000), ('limit', 1, limits.page),
                              ('offset', 0, limits.depth - limits.page)):
        if given.get(name):
            query[name] = _matching(given, name, _NUMBER, int, f'a number from {least} to {most}')
            if not least <= query[name] <= most:
                raise _wrong(f'{name} must be a number from {least} to {most}')
    return Query(**query)


def none_but(pairs: Sequence[tuple[str, str]], known: Sequence[str] = ()) -> Mapping[str, str]:
    """Return parameters by name.

    Raises:
        RefusedError: If there are others than those that are known, or one comes twice.
    """
    return _single(pairs, known)


def _single(pairs: Sequence[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    given = dict(pairs)
    if len(given) < len(pairs):
        raise _wrong('a parameter comes several times')
    if not given.keys() <= set(known):
        raise _wrong('unknown parameter; known are ' + ', '.join(known) if known
                     else 'it takes no parameters')
    return given


def _sentence(text: str, limits: Limits) -> str:
    if len(text) > limits.query_chars:
        raise _wrong(f'the sentence is longer than {limits.query_chars} characters')
    sentence = ' '.join(_plain(text, 'q', limits.query_chars).split())
    if not sentence:
        raise _wrong('the sentence is empty')
    return sentence


def _plain(text: str, name: str, most: int) -> str:
    """Refuse texts that no keyboard gives: too long, with NUL, or bytes that are no UTF-8."""
    if len(text) > most or '\0' in text or '\ufffd' in text or any(
            0xd800 <= ord(sign) < 0xe000 for sign in text):
        raise _wrong(f'{name} is no text in UTF-8 of at most {most} characters')
    return text


def _matching(given: Mapping[str, str], name: str, pattern: re.Pattern, kind: Callable,
              what: str) -> Any:
    if not pattern.fullmatch(given[name]):
        raise _wrong(f'{name} must be {what}')
    return kind(given[name])


def _wrong(message: str) -> RefusedError:
    return RefusedError(400, 'parameter', message)


def upload_name(header: Optional[str]) -> str:
    """Return the name that a client gives a video that it uploads; it is shown and no more."""
    from urllib.parse import unquote
    return unquote(header or '', errors='replace')[:500]
