"""Lets all that MMEngine loads, from files and addresses, go through our reader.

MMEngine leaves it to torch's default whether a checkpoint may run code, which it may before torch
2.6, or allows it. Its table of schemes is where everything comes by: the runner's resume and
load_from, ``load_checkpoint``, ``init_cfg`` of type Pretrained, and what MMAction2 loads.
"""
import os
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlparse

import torch
from filelock import FileLock
from mmengine.dist import is_main_process
from mmengine.fileio import get_file_backend
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mmc2v.checkpoint_reading import read_checkpoint_file


# pavi:// is a store within one company; of such a name this says that there is no such file
@CheckpointLoader.register_scheme(('', 'pavi://'), force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a file; see :func:`mmc2v.checkpoint_reading.read_checkpoint_file`.

    A config inside is left out: MMEngine would run it as Python when it resumes.
    """
    content = read_checkpoint_file(filename, map_location)
    if isinstance(content, dict) and isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


@CheckpointLoader.register_scheme(('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location: Any = None,
                   model_dir: Optional[str] = None) -> Any:
    """Load an address, which is fetched into torch's folder of checkpoints, once a node."""
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(urlparse(filename).path).name
    with FileLock(f'{path}.lock'):
        if not path.exists():
            torch.hub.download_url_to_file(filename, str(path), progress=is_main_process())
    return load_from_local(str(path), map_location)


@CheckpointLoader.register_scheme([r'(\S+\:)?s3://', r'(\S+\:)?petrel://'], force=True)
def load_from_ceph(filename: str, map_location: Any = None, backend: str = 'petrel') -> Any:
    """Load what a cluster's store has, by MMEngine's back end for it."""
    store = get_file_backend(filename, backend_args=dict(backend=backend))
    with store.get_local_path(filename) as path:
        return load_from_local(str(path), map_location)


@CheckpointLoader.register_scheme(('open-mmlab://', 'openmmlab://'), force=True)
def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Load what MMEngine's table of names has an address or a file of."""
    name = filename.partition('://')[2]
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    place = mmengine_checkpoint.get_external_models()[name]
    if '://' not in place:
        place = os.path.join(mmengine_checkpoint._get_mmengine_home(), place)
    return CheckpointLoader.load_checkpoint(place, map_location)


mmengine_checkpoint.load_from_http = load_from_http  # torchvision:// and mmcls:// end in it
