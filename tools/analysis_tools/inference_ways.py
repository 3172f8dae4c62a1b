"""The ways to run a model's towers that benchmark_inference.py measures, each in its process.

B videos, T frames, N captions, L tokens, D width of vectors.
"""
from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Optional

import numpy as np

Encode = Callable[..., np.ndarray]
_SECONDS = 1800.0  # that a way may take to compile, and for a batch


def _torch_float32(folder: Path) -> Any:
    from mmc2v.apis import init_model
    return init_model(folder / 'config.py', str(folder / 'model.pth'), 'cpu')


def _torch_bfloat16(folder: Path) -> Any:
    from mmc2v.apis import use_bf16_weights
    model = _torch_float32(folder)
    use_bf16_weights(model)
    return model


def _compiled(model: Any) -> Any:
    """Let torch make C++ of both encoders; frozen weights are laid out as its kernels want them."""
    import torch
    import torch._inductor.config
    torch._inductor.config.freezing = True
    model.encode_video = torch.compile(model.encode_video, fullgraph=True)
    model.encode_text = torch.compile(model.encode_text, fullgraph=True)
    return model


def _encoders(model: Any) -> dict[str, Encode]:
    """Return both encoders of a model of torch, from arrays to arrays."""
    import torch

    def calls(encode: Callable) -> Encode:
        def encoded(*arrays: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return encode(*map(torch.from_numpy, arrays)).float().numpy()
        return encoded
    return dict(video=calls(model.encode_video), text=calls(model.encode_text))


def _exported(folder: Path, backend: str, precision: str = 'float32') -> dict[str, Encode]:
    from mmc2v.export.runtime import Towers
    towers = Towers(folder / 'exported', backend, precision=precision)
    return dict(video=towers.encode_video, text=towers.encode_tokens)


_LOADS: dict[str, Callable[[Path], dict[str, Encode]]] = {
    'torch float32': lambda folder: _encoders(_torch_float32(folder)),
    'torch bfloat16': lambda folder: _encoders(_torch_bfloat16(folder)),
    'torch.compile float32': lambda folder: _encoders(_compiled(_torch_float32(folder))),
    'torch.compile bfloat16': lambda folder: _encoders(_compiled(_torch_bfloat16(folder))),
    'ONNX Runtime float32': lambda folder: _exported(folder, 'onnxruntime'),
    'OpenVINO float32': lambda folder: _exported(folder, 'openvino'),
    'OpenVINO bfloat16': lambda folder: _exported(folder, 'openvino', 'bfloat16')}
NAMES = tuple(_LOADS)


class Way:
    """A way to run the towers, in a process of its own: pools of threads do not meet.

    Args:
        name (str): One of ``NAMES``.
        folder (Path): Filled by :func:`prepare`.

    Attributes:
        name (str): Its name.
        load_seconds (float): From the start of loading to the first vector of a caption, without
            imports of torch and MMAction2.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        context = multiprocessing.get_context('spawn')
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, folder), daemon=True)
        self._process.start()
        theirs.close()
        print(f'loading {name} ...', flush=True)
        self.load_seconds = self._answer()

    def _answer(self) -> Any:
        if not self._pipe.poll(_SECONDS):
            raise TimeoutError(f'{self.name} takes longer than {_SECONDS:.0f} s')
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f'the process of {self.name} has ended') from None
        if isinstance(answer, str):
            raise RuntimeError(f'{self.name}: {answer}')
        return answer

    def _ask(self, *question: Any) -> Any:
        self._pipe.send(question)
        return self._answer()

    def seconds(self, kind: str, size: int) -> float:
        """Return the seconds of encoding the first ``size`` videos, or captions."""
        return self._ask('seconds', kind, size)

    def vectors(self, kind: str) -> np.ndarray:
        """Return (N, D) vectors of all."""
        return self._ask('vectors', kind)

    def memory(self) -> float:
        """Return the most memory that its process has taken, in MiB."""
        return self._ask('memory')

    def end(self) -> None:
        """End its process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection, name: str, folder: Path) -> None:
    """Answer until the process is ended."""
    import mmc2v  # noqa: F401
    if name.startswith('torch'):
        import mmaction.models  # noqa: F401  not a part of loading

        from mmc2v import apis  # noqa: F401
    with np.load(folder / 'inputs.npz') as file:
        inputs = dict(video=(file['frames'], file['mask']), text=(file['tokens'],))
    try:
        start = time.perf_counter()
        encode = _LOADS[name](folder)
        encode['text'](inputs['text'][0][:1])
        pipe.send(time.perf_counter() - start)
        while True:
            question, *arguments = pipe.recv()
            pipe.send(_answered(encode, inputs, question, *arguments))
    except EOFError:
        return
    except Exception as error:  # of any backend
        pipe.send(f'{type(error).__name__}: {error}'[:2000])


def _answered(encode: dict[str, Encode], inputs: dict[str, tuple], question: str,
              kind: Optional[str] = None, size: Optional[int] = None) -> Any:
    if question == 'memory':  # of this program: getrusage has that of what it was forked from
        [line] = [line for line in Path('/proc/self/status').read_text().splitlines()
                  if line.startswith('VmHWM')]
        return int(line.split()[1]) / 1024
    if question == 'vectors':
        return np.concatenate([encode[kind](*(array[row:row + 1] for array in inputs[kind]))
                               for row in range(len(inputs[kind][0]))])
    rows = np.arange(size) % len(inputs[kind][0])
    arrays = [array[rows] for array in inputs[kind]]
    start = time.perf_counter()
    encode[kind](*arrays)
    return time.perf_counter() - start


def prepare(folder: Path, config_path: str, checkpoint: Optional[str], options: Sequence[str],
            number: int) -> None:
    """Write a model in all of its forms, and inputs.

    Args:
        folder (Path): Where to: config.py, model.pth, exported/, inputs.npz.
        config_path (str): The config.
        checkpoint (str, optional): Its checkpoint. Defaults to random weights.
        options (Sequence[str]): As after ``--cfg-options``.
        number (int): Of videos and of captions.
    """
    import torch
    from measured_steps import synthetic_batch

    from mmc2v.apis import init_model
    from mmc2v.config_reading import read_config
    from mmc2v.export.describing import export_model
    config = read_config(config_path, options, needs=['model', 'test_dataloader',
                                                      'train_dataloader'])
    config.model.pop('pretrained', None)
    config.dump(folder / 'config.py')
    if checkpoint:
        model = init_model(config, checkpoint, 'cpu')
    else:
        from mmc2v.registry import MODELS
        torch.manual_seed(0)
        model = MODELS.build(config.model).eval()
        model.cfg = config
    torch.save(dict(state_dict=model.state_dict()), folder / 'model.pth')
    batch = model.data_preprocessor(synthetic_batch(config, number))['inputs']
    np.savez(folder / 'inputs.npz', frames=batch['frames'].numpy(),
             mask=batch['frame_mask'].numpy(), tokens=batch['tokens'].numpy())
    print('making graphs; this takes a minute or two ...', flush=True)
    export_model(model, folder / 'exported')
