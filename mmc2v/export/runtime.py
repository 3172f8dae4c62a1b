"""Runs exported towers; needs neither torch nor MMAction2.

B videos, T frames, N sentences, L tokens, D width of vectors.
"""
from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any, Optional, Union

import numpy as np

from .text import TextReader

DESCRIPTION = 'model.json'
FORMAT = 1
# Names by which a program calls what goes in and comes out of each tower.
VIDEO_INPUTS, VIDEO_OUTPUT = ('frames', 'frame_mask'), 'video_vectors'
TEXT_INPUTS, TEXT_OUTPUT = ('tokens',), 'text_vectors'
BACKENDS = ('onnxruntime', 'openvino')
Run = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def is_exported(path: Union[str, Path]) -> bool:
    """Whether a path is the folder of an exported model."""
    return (Path(path) / DESCRIPTION).is_file()


def read_description(folder: Union[str, Path]) -> dict[str, Any]:
    """Return what is written of an exported model.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, or of another format.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(f"there is no exported model in '{folder}': it has no "
                                f'{DESCRIPTION}. tools/export.py makes one')
    try:
        description = json.loads(path.read_text(encoding='utf-8'))
        found = description['format']
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"'{path}' is damaged ({error!r}); export the model again") from None
    if found != FORMAT:
        raise ValueError(f"'{path}' is of format {found}, this mmc2v reads {FORMAT}; export the "
                         'model again')
    return description


def require_cpu(device: Any) -> None:
    """Refuse another device than the CPU.

    Args:
        device (Any): A name, or one of torch.

    Raises:
        ValueError: If it is another.
    """
    if str(device).split(':')[0] != 'cpu':
        raise ValueError(f"an exported model runs on the CPU, not on '{device}'; give the config "
                         'and checkpoint that it was made of')


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry.

    It would tell Google Analytics of each import, and of each conversion, unless the user has
    declined (https://docs.openvino.ai, "OpenVINO Telemetry"); and it forks the process to do so,
    from a thread, while other threads hold what the fork then waits for.
    """
    if 'openvino' not in sys.modules:
        sys.modules.setdefault('openvino_telemetry', None)  # cannot be imported: it does without
    return importlib.import_module('openvino')


def openvino_options(precision: str, threads: Optional[int]) -> dict[str, Any]:
    """Return how OpenVINO compiles: it would choose bfloat16 by itself where the processor has it.

    Args:
        precision (str): 'float32' or 'bfloat16'.
        threads (int, optional): That it may use. Defaults to all cores.
    """
    options: dict[str, Any] = {
        'INFERENCE_PRECISION_HINT': {'float32': 'f32', 'bfloat16': 'bf16'}[precision],
        'PERFORMANCE_HINT': 'LATENCY'}
    return {**options, 'INFERENCE_NUM_THREADS': threads} if threads else options


class Towers:
    """The two towers of an exported model, each loaded when it is first asked.

    Args:
        folder (str | Path): Written by tools/export.py.
        backend (str, optional): One of ``BACKENDS``, for towers in ONNX. Defaults to the first
            that is installed.
        threads (int, optional): That a tower may use. Defaults to all cores.
        precision (str): 'float32', or 'bfloat16' by OpenVINO. Defaults to 'float32'.

    Attributes:
        description (dict): What ``model.json`` says.
        backend (str): What runs the towers: one of ``BACKENDS``, or 'torch'.

    Raises:
        FileNotFoundError: If there is no such model.
        ImportError: If nothing is installed that runs it.
        ValueError: If it is damaged, or there is no such backend or precision.
    """

    def __init__(self, folder: Union[str, Path], backend: Optional[str] = None,
                 threads: Optional[int] = None, precision: str = 'float32') -> None:
        self.folder, self.description = Path(folder), read_description(folder)
        self._threads, self._precision = threads, precision
        try:
            self._files = {name: self._file(self.description[name]['file'])
                           for name in ('video', 'text')}
            self._words = self.description['tokenizer']
        except (KeyError, TypeError) as error:
            raise ValueError(f"'{self.folder / DESCRIPTION}' is damaged: {error!r} is not there; "
                             'export the model again') from None
        self.backend = self._backend_of(backend)
        if precision != 'float32' and (precision, self.backend) != ('bfloat16', 'openvino'):
            raise ValueError(f"the precision must be float32, or bfloat16 by openvino, got "
                             f"'{precision}' by {self.backend}")

    def _backend_of(self, wanted: Optional[str]) -> str:
        if self._files['text'].suffix == '.pt2':
            return 'torch'
        if wanted is not None and wanted not in BACKENDS:
            raise ValueError(f"the backend must be one of {', '.join(BACKENDS)}, got '{wanted}'")
        names = [wanted] if wanted else BACKENDS
        for name in names:
            if importlib.util.find_spec(name) is not None:
                return name
        raise ImportError(f"the exported model '{self.folder}' needs {' or '.join(names)}: "
                          "pip install 'mmc2v[onnx]'")

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if Path(name).name != name or not path.is_file():
            raise FileNotFoundError(f"the exported model '{self.folder}' has no file '{name}'; "
                                    'export it again')
        return path

    @cached_property
    def _video(self) -> Run:
        return self._loaded('video', VIDEO_INPUTS)

    @cached_property
    def _text(self) -> Run:
        return self._loaded('text', TEXT_INPUTS)

    def _loaded(self, name: str, inputs: Sequence[str]) -> Run:
        load = {'onnxruntime': _by_onnxruntime, 'torch': _by_torch,
                'openvino': partial(_by_openvino, precision=self._precision)}[self.backend]
        try:
            return load(self._files[name], inputs, self._threads)
        except Exception as error:  # each backend has its own
            raise ValueError(f"'{self._files[name]}' cannot be loaded by {self.backend}: {error}; "
                             'export the model again') from error

    @cached_property
    def _reader(self) -> TextReader:
        words = self._words
        return TextReader(self._file(words['file']), words['start_token'], words['end_token'],
                          words['max_words'])

    @property
    def width(self) -> int:
        """D."""
        return self.description['width']

    def encode_video(self, frames: np.ndarray, frame_mask: np.ndarray) -> np.ndarray:
        """Return (B, D) float32 unit vectors of videos.

        Args:
            frames (np.ndarray): (B, T, 3, H, W) float32, normalised, zero at padding.
            frame_mask (np.ndarray): (B, T) bool, True = valid.

        Raises:
            ValueError: If a video has no valid frame, or there are too many.
        """
        if not frame_mask.any(axis=1).all():
            empty = np.flatnonzero(~frame_mask.any(axis=1)).tolist()
            raise ValueError(f'videos {empty} of the batch have no valid frame')
        limits, count = self.description['video'], frames.shape[1]
        if count > limits['most_frames']:
            raise ValueError(f'{count} frames, but this model takes {limits["most_frames"]}; '
                             'sample fewer')
        more = limits['least_frames'] - count
        if more > 0:  # padding has no influence
            frames = np.pad(frames, ((0, 0), (0, more), (0, 0), (0, 0), (0, 0)))
            frame_mask = np.pad(frame_mask, ((0, 0), (0, more)))
        return self._video(dict(zip(VIDEO_INPUTS, (np.ascontiguousarray(frames, np.float32),
                                                   np.ascontiguousarray(frame_mask, bool)))))

    def encode_tokens(self, tokens: np.ndarray) -> np.ndarray:
        """Return (N, D) float32 unit vectors of (N, L) token ids.

        Raises:
            ValueError: If there are more tokens than the model has positions, or a sentence has
                no end token.
        """
        words = self._words
        if tokens.shape[1] > words['context_length']:
            raise ValueError(f'{tokens.shape[1]} text tokens, but this model has '
                             f'{words["context_length"]} positions: tokenize to fewer')
        if words['end_token'] is not None and not (
                tokens == words['end_token']).any(axis=1).all():
            raise ValueError(f'a caption has no end token (id {words["end_token"]}); was it made '
                             'by another tokenizer, or truncated by hand?')
        if tokens.shape[1] == 1:
            tokens = np.pad(tokens, ((0, 0), (0, 1)), constant_values=words['pad_token'])
        return self._text({TEXT_INPUTS[0]: np.ascontiguousarray(tokens, np.int64)})

    def encode_texts(self, sentences: Sequence[str]) -> np.ndarray:
        """Return (N, D) float32 unit vectors of sentences.

        Raises:
            ValueError: If the model was exported without a tokenizer.
        """
        if self._words['file'] is None:
            raise ValueError(f"the exported model '{self.folder}' has no tokenizer of its own, "
                             'for which search needs the model itself: give its config')
        return self.encode_tokens(self._reader.read(sentences))


def _by_onnxruntime(path: Path, inputs: Sequence[str], threads: Optional[int]) -> Run:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if threads:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda arrays: session.run(None, {name: arrays[name] for name in inputs})[0]


def _by_openvino(path: Path, inputs: Sequence[str], threads: Optional[int],
                 precision: str) -> Run:
    openvino = import_openvino()
    model = openvino.compile_model(str(path), 'CPU', openvino_options(precision, threads))
    return lambda arrays: model({name: arrays[name] for name in inputs})[0].copy()


def _by_torch(path: Path, inputs: Sequence[str], threads: Optional[int]) -> Run:
    import torch
    module = torch.export.load(path).module()

    def run(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            return module(**{name: torch.from_numpy(arrays[name]) for name in inputs}).numpy()
    return run
