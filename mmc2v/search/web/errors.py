"""What the server answers where it cannot do what it was asked for."""
from typing import Any


class RefusedError(Exception):
    """A request that is answered by an error; its message is shown to whoever asked.

    Args:
        status (int): Of HTTP.
        code (str): For programs.
        message (str): For people: what is wrong and what to do, without paths.
        headers (dict[str, str], optional): Of the answer.
    """

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.headers = {name.replace('_', '-'): value for name, value in headers.items()}

    @property
    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        return dict(error=dict(code=self.code, message=str(self)))


def unusable() -> RefusedError:
    """Return the answer of a server whose index, model or disk fails."""
    return RefusedError(503, 'failed', 'the index or its model cannot be used; the terminal of the '
                        'server says why', retry_after='10')


def busy(what: str) -> RefusedError:
    """Return the answer of a server that has enough to do."""
    return RefusedError(503, 'busy', f'{what}; try again in a moment', retry_after='2')
