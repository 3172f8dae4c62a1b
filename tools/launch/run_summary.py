"""What a run is of, in a few lines."""
import logging
from collections.abc import Iterator

from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmc2v.datasets import VideoTextDataset
from mmc2v.engine.bare_model import bare_model
from mmc2v.engine.hooks.epoch_randomness import wrapped_datasets


def log_summary(runner: Runner, **loaders: DataLoader) -> None:
    """Log the data, the model, and where the log is.

    Args:
        runner (Runner): Built.
        **loaders (DataLoader): By the name of their split.
    """
    lines = [f'data, {name}: {_data(loader)}' for name, loader in loaders.items()]
    lines += _model(bare_model(runner))
    files = [handler.baseFilename for handler in runner.logger.handlers
             if isinstance(handler, logging.FileHandler)]
    lines += [f'log, with environment, config and hooks: {path}' for path in files]
    runner.logger.info('\n'.join(['this run', *(f'    {line}' for line in lines)]))


def start_of_training(runner: Runner) -> str:
    """Say which weights training starts from."""
    config = runner.cfg
    if config.get('resume'):
        return 'resuming from ' + (f"'{config.load_from}'" if config.get('load_from') else
                                   'the newest checkpoint of the work dir, if it has one')
    if config.get('load_from'):
        return f"starting from the checkpoint '{config.load_from}'"
    if not hasattr(bare_model(runner), 'pretrained'):
        return "starting from the weights that the model's parts name"
    pretrained = bare_model(runner).pretrained
    return 'starting from random weights' if pretrained is None else \
        f"starting from the CLIP weights '{pretrained}'"


def _data(loader: DataLoader) -> str:
    """Count what a loader's data sets hold."""
    counted = [dataset for dataset in wrapped_datasets(loader.dataset)
               if isinstance(dataset, VideoTextDataset)]
    videos, captions = (sum(getattr(dataset, count) for dataset in counted)
                        for count in ('num_videos', 'num_captions'))
    what = f'{videos} videos, {captions} captions' if counted else f'{len(loader.dataset)} items'
    batch_size = loader.batch_size or loader.batch_sampler.batch_size
    return f'{what}, {len(loader)} batches of {batch_size}'


def _model(model: nn.Module) -> Iterator[str]:
    """Say of which parts a model is, and how large they are."""
    yield f'model {type(model).__name__}: {_size(model)}'
    for name, part in model.named_children():
        if any(True for _ in part.parameters()):
            yield f'    {name:14} {type(part).__name__}: {_size(part)}'


def _size(part: nn.Module) -> str:
    """Count parameters."""
    count = sum(parameter.numel() for parameter in part.parameters())
    trained = sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)
    return f'{count:,} parameters' + ('' if trained == count else f', {trained:,} of them trained')
