"""Search in a browser: see :func:`serve`."""
try:
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise ImportError("search in a browser needs two more packages: pip install 'mmc2v[web]'"
                      ) from error

from .app import build_app
from .guard import Access, host_names
from .limits import Limits
from .server import serve

__all__ = ['Access', 'Limits', 'build_app', 'host_names', 'serve']
