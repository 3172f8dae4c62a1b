"""A model as MTEB's tasks take it: their rows of texts or videos in, vectors out.

N rows of a data set, D width of vectors.
"""
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Optional, Union

from datasets import Video
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mteb.abstasks import AbsTask, AbsTaskRetrieval
from mteb.models.abs_encoder import AbsEncoder
from mteb.types import PromptType
from torch import Tensor
from torch.utils.data import DataLoader

from mmc2v.apis import (
    encode_batches,
    encode_texts,
    init_model,
    reading_steps,
    takes_features,
    usable_device,
)
from mmc2v.progress import progress
from mmc2v.video import VideoDecodeError

from .mteb_meta import describe

_MODALITIES = {'text', 'image', 'audio', 'video'}


class MTEBEncoder(AbsEncoder):
    """Encodes what MTEB's tasks hand over, each text and each video on its own.

    MTEB hands over videos as files, which its own models let torchcodec decode. Here they are read
    by the model's test pipeline, so that frames are those that it was trained for, and torchcodec
    is not needed.

    Args:
        model_name (str): For results, as 'organization/name'.
        revision (str, optional): Defaults to a digest of all that vectors depend on.
        device (str, optional): Defaults to a GPU if there is one.
        config (str | Path | Config): See :func:`~mmc2v.apis.init_model`; also the folder of an
            exported model.
        checkpoint (str, optional): Likewise.
        bf16 (bool): Likewise. Defaults to False.
        workers (int): Processes that read videos. Defaults to 0, this one.
        stated (Mapping[str, Any], optional): What :class:`mteb.ModelMeta` asks for beside what
            can be measured; keys of :data:`~mmc2v.benchmarks.STATED`.

    Attributes:
        model (nn.Module | ExportedModel): In evaluation mode.
        mteb_model_meta (mteb.ModelMeta): What results say of the model.

    Raises:
        ValueError: As of ``init_model``; if the model takes features in place of frames, or
            something is stated that MTEB does not take.
    """

    def __init__(self, model_name: str, revision: Optional[str] = None,
                 device: Optional[str] = None, *, config: Union[str, Path, Config],
                 checkpoint: Optional[str] = None, bf16: bool = False, workers: int = 0,
                 stated: Optional[Mapping[str, Any]] = None) -> None:
        self.model = init_model(config, checkpoint, device=usable_device(device), bf16=bf16)
        self.workers = workers
        if takes_features(self.model):
            raise ValueError('the model takes features in place of frames, and the tasks of MTEB '
                             'have videos alone')
        self.mteb_model_meta = describe(self.model, model_name, revision, bf16, stated or {},
                                        type(self))

    def encode(self, inputs: DataLoader, *, task_metadata: Any, hf_split: str, hf_subset: str,
               prompt_type: Optional[PromptType] = None, show_progress_bar: bool = True,
               **kwargs) -> Tensor:
        """Encode a column of texts or one of videos.

        Args:
            inputs (DataLoader): Over N rows of a ``datasets.Dataset`` with the column ``text`` or
                ``video``; of others MTEB keeps ids and parts of texts.
            task_metadata (mteb.TaskMetadata): Whose ``name`` is said in errors.
            hf_split (str): Not used.
            hf_subset (str): Not used.
            prompt_type (PromptType, optional): Not used: texts are encoded as they are.
            show_progress_bar (bool): Defaults to True.
            **kwargs: Not used: MTEB hands over all that any model could want.

        Returns:
            Tensor: (N, D) float32 unit vectors, on the CPU.

        Raises:
            ValueError: If there is another modality, two of them, or a column of videos that holds
                no files.
            VideoDecodeError: If a video cannot be decoded.
        """
        found = sorted(_MODALITIES & set(inputs.dataset.features))
        if found not in (['text'], ['video']):
            raise ValueError(_refusal(task_metadata.name, found))
        title = f'{task_metadata.name}: {found[0]}s' if show_progress_bar else ''
        if found == ['text']:
            texts = [text for batch in inputs for text in batch['text']]
            return encode_texts(self.model, texts, inputs.batch_size, title)
        loader = self._loader_of_files(inputs, task_metadata.name)
        if title:
            loader = progress(loader, title, f' x {inputs.batch_size} videos')
        return encode_batches(self.model, loader)

    def _loader_of_files(self, inputs: DataLoader, task: str) -> DataLoader:
        """Return a loader over the same videos that reads them as the model is tested."""
        column = inputs.dataset.features['video']
        if not isinstance(column, Video):
            raise ValueError(f"the column 'video' of the task {task} is {column}, not of files")
        rows = inputs.dataset.cast_column('video', Video(decode=False))
        steps = reading_steps(self.model, for_text=False)
        return DataLoader(rows, inputs.batch_size, num_workers=self.workers,
                          collate_fn=_VideoCollator(steps))


class _VideoCollator:
    """Reads and collates rows of videos.

    Args:
        steps (Compose): From :func:`~mmc2v.apis.reading_steps`.
    """

    def __init__(self, steps: Compose) -> None:
        self.steps = steps

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict:
        """Return a batch for :func:`~mmc2v.apis.encode_batches`.

        Args:
            rows (Sequence[Mapping]): ``video``: ``path`` of a file, or ``bytes`` of one, whose name
                is ``path`` then; maybe ``id``.
        """
        return pseudo_collate([self._read(row['video'], row.get('id')) for row in rows])

    def _read(self, video: Mapping[str, Any], row_id: Optional[str]) -> dict:
        name = ' '.join(str(part) for part in (row_id, video['path']) if part is not None) \
            or 'without a name'
        with _file_of(video) as path:
            try:
                return self.steps(dict(filename=path, video_id=name))
            except VideoDecodeError as error:  # whose path may be that of a temporary file
                raise VideoDecodeError(f"the video '{name}'", error.reason) from error


@contextmanager
def _file_of(video: Mapping[str, Any]) -> Iterator[str]:
    """Lend a file that holds the video."""
    if video['bytes'] is None:
        yield video['path']
        return
    with TemporaryDirectory() as folder:
        path = Path(folder, 'video')  # its name in the data set may be any
        path.write_bytes(video['bytes'])
        yield str(path)


def require_separate_modalities(task: AbsTask) -> None:
    """Refuse a task for a model that encodes texts and videos, each on its own.

    Args:
        task (AbsTask): Whose data need not be loaded.

    Raises:
        ValueError: If it has another modality, or a query or document of two.
    """
    metadata = task.metadata
    sides = [metadata.get_modalities(side) for side in (PromptType.query, PromptType.document)] \
        if isinstance(task, AbsTaskRetrieval) else [[one] for one in metadata.modalities]
    for side in sides:
        if len(side) > 1 or side[0] not in ('text', 'video'):
            raise ValueError(_refusal(metadata.name, sorted(side)))


def _refusal(task: str, found: Sequence[str]) -> str:
    return (f"an item of the task '{task}' is {' with '.join(found) or 'neither'}; this model "
            'encodes a text or a video, each on its own')
