"""The authors' figures, for the table of measured ones; only where both are of one protocol."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

import yaml
from mmengine.config import Config


class PublishedFigures(NamedTuple):
    """What a paper says about a config's model and protocol; nothing of it was measured here.

    Attributes:
        source (str): The paper.
        protocol (str): Data set and protocol, as the converters' ``report.json`` have them.
        videos (int): Videos of the test set.
        captions (int): Captions of the test set.
        figures (dict[str, float]): Under the names of our metrics, ``t2v/R1`` and so on.
    """

    source: str
    protocol: str
    videos: int
    captions: int
    figures: dict[str, float]

    def comparable_to(self, metrics: Mapping[str, float], protocol: Optional[str]) -> bool:
        """Whether figures were measured on the whole test set of this protocol.

        Args:
            metrics (Mapping[str, float]): Of
                :func:`~mmc2v.evaluation.protocols.retrieval_metrics`.
            protocol (str, optional): Of the test set, where a converter's report tells it.
        """
        return ('t2v/R1' in metrics and protocol in (None, self.protocol)
                and (metrics['videos'], metrics['captions']) == (self.videos, self.captions)
                and not metrics['undecodable'] and not metrics.get('missing', 0))


def find_published(config: Config) -> Optional[PublishedFigures]:
    """Look up the paper's figures for a config.

    They stand in the ``metafile.yml`` beside a config file, under ``Published`` of the model whose
    ``Config`` has that file's name. The config itself is looked up first, then its bases, and the
    first that is listed decides. What is evaluated must be unchanged: the model apart from where
    its weights start, the test set and how its items are made, and the training list.

    Args:
        config (Config): Read from a file, and changed by the command line.

    Returns:
        PublishedFigures | None: None where there are none for exactly this.

    Raises:
        ValueError: If the entry in the metafile is wrong.
    """
    # in a config's text every file stands after its bases, its path in the line before
    files = [Path(line) for line in reversed(config.text.splitlines())
             if line.endswith('.py') and Path(line).is_file()]
    for file in files:
        metafile = file.with_name('metafile.yml')
        for model in _models(metafile):
            if Path(model.get('Config', '')).name != file.name:
                continue
            is_same = 'Published' in model and (
                _evaluated(config) == _evaluated(Config.fromfile(file)))
            return _read(model['Published'], f"'{metafile}', {file.name}") if is_same else None
    return None


def _models(metafile: Path) -> list[dict]:
    """Read the models of a metafile, without making objects, which MMEngine's reader would."""
    try:
        content = yaml.safe_load(metafile.read_text('utf-8')) if metafile.is_file() else None
    except yaml.YAMLError as error:
        reason = ' '.join(str(error).split())
        raise ValueError(f"'{metafile}' is no plain YAML: {reason}") from error
    return (content or {}).get('Models', [])


def _evaluated(config: Config) -> dict[str, Any]:
    """Return what published figures depend on."""
    model = dict(config.get('model', {}))
    model.pop('pretrained', None)
    train, test = ((config.get(f'{split}_dataloader') or {}).get('dataset', {})
                   for split in ('train', 'test'))
    return dict(model=model, train=train.get('ann_file'),
                **{key: test.get(key) for key in ('type', 'ann_file', 'pipeline')})


def _read(entry: Mapping[str, Any], where: str) -> PublishedFigures:
    """Read one entry of a metafile."""
    try:
        figures = {f'{direction.lower()}/{name.replace("@", "")}': float(value)
                   for direction in ('T2V', 'V2T') for name, value in entry[direction].items()}
        return PublishedFigures(entry['Source'], entry['Protocol'], int(entry['Videos']),
                                int(entry['Captions']), figures)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f'{where}: Published needs Source, Protocol, Videos, Captions, and T2V '
                         f'and V2T with a number for each figure: {type(error).__name__}: '
                         f'{error}') from error
