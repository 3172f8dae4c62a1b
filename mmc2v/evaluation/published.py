"""The authors' figures, for the table of measured ones; only where both are of one protocol."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

import yaml
from mmengine.config import Config

# Arguments of towers that change how a model is trained and not what it computes.
_TRAINING_ONLY = ('freeze_layer_num', 'grad_checkpointing')


class PublishedFigures(NamedTuple):
    """What a paper says about a config's model and protocol; nothing of it was measured here.

    Attributes:
        source (str): The paper.
        model (str): Its model and towers; empty where the metafile does not say.
        protocol (str): Data set and protocol, as the converters' ``report.json`` have them.
        videos (int): Videos of the test set.
        captions (int): Captions of the test set.
        figures (dict[str, float]): Under the names of our metrics, ``t2v/R1`` and so on.
        config (str): File name of the config that they are listed for.
        changed (tuple[str, ...]): Keys in which the config that is evaluated is another.
    """

    source: str
    model: str
    protocol: str
    videos: int
    captions: int
    figures: dict[str, float]
    config: str
    changed: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The paper, its model, and the protocol."""
        return f'{self.source}, ' + '; '.join(filter(None, [self.model, self.protocol]))

    def objections(self, metrics: Mapping[str, float], protocol: Optional[str]) -> list[str]:
        """Say why figures that were measured are not of the same thing.

        Args:
            metrics (Mapping[str, float]): Of
                :func:`~mmc2v.evaluation.protocols.retrieval_metrics`.
            protocol (str, optional): Of the test set, where a converter's report tells it.

        Returns:
            list[str]: Reasons; none where the figures compare.
        """
        reasons = []
        if self.changed:
            reasons.append(f'the config is not {self.config} in {", ".join(self.changed)}')
        if 't2v/R1' not in metrics:
            return [*reasons, 'there is no t2v/R1 among the figures']
        if protocol not in (None, self.protocol):
            reasons.append(f'the test set is that of {protocol}')
        counts = int(metrics['videos']), int(metrics['captions'])
        if counts != (self.videos, self.captions):
            reasons.append(f'{counts[0]} videos and {counts[1]} captions were measured, theirs are '
                           f'{self.videos} and {self.captions}')
        for key in ('undecodable', 'missing'):
            if metrics.get(key):
                reasons.append(f'{key} videos: {int(metrics[key])}')
        return reasons


def find_published(config: Config) -> Optional[PublishedFigures]:
    """Look up the paper's figures for a config.

    They stand in the ``metafile.yml`` beside a config file, under ``Published`` of the model whose
    ``Config`` has that file's name. The config itself is looked up first, then its bases, and the
    first that is listed decides. What is evaluated should be unchanged: the model apart from where
    its weights start and what of it is trained, the test set and how its items are made, and the
    training list; what is not, is named in ``changed``.

    Args:
        config (Config): Read from a file, and changed by the command line.

    Returns:
        PublishedFigures | None: None where the paper has none for the config that is listed.

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
            if 'Published' not in model:
                return None
            published = _read(model, f"'{metafile}', {file.name}")
            return published._replace(changed=tuple(
                _differing(_evaluated(Config.fromfile(file)), _evaluated(config))))
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
    model = {key: value for key, value in config.get('model', {}).items() if key != 'pretrained'}
    for tower in ('backbone', 'text_backbone'):
        if tower in model:
            model[tower] = {key: value for key, value in model[tower].items()
                            if key not in _TRAINING_ONLY}
    train, test = ((config.get(f'{split}_dataloader') or {}).get('dataset', {})
                   for split in ('train', 'test'))
    return dict(model=model, train_dataloader=dict(dataset=dict(ann_file=train.get('ann_file'))),
                test_dataloader=dict(dataset={
                    key: test.get(key) for key in ('type', 'ann_file', 'pipeline')}))


def _differing(listed: Any, given: Any, where: str = '') -> list[str]:
    """Return the keys in which two parts of configs differ; of another class its type alone."""
    if isinstance(listed, Mapping) and isinstance(given, Mapping):
        keys = [*listed, *(key for key in given if key not in listed)]
        if listed.get('type') != given.get('type'):
            keys = ['type']
        pairs = [(key, listed.get(key), given.get(key)) for key in keys]
    elif isinstance(listed, (list, tuple)) and isinstance(given, (list, tuple)) \
            and len(listed) == len(given):
        pairs = list(zip(range(len(listed)), listed, given))
    else:
        return [] if listed == given else [where]
    return [found for key, *values in pairs
            for found in _differing(*values, f'{where}.{key}'.lstrip('.'))]


def _read(model: Mapping[str, Any], where: str) -> PublishedFigures:
    """Read the published figures of one model of a metafile."""
    entry, details = model['Published'], model.get('Metadata', {})
    parts = [model.get('In Collection'), details.get('Architecture'),
             f'K = {details["Centers"]}' if 'Centers' in details else None]
    try:
        figures = {f'{direction.lower()}/{name.replace("@", "")}': float(value)
                   for direction in ('T2V', 'V2T') for name, value in entry[direction].items()}
        return PublishedFigures(
            entry['Source'], ', '.join(filter(None, parts)), entry['Protocol'],
            int(entry['Videos']), int(entry['Captions']), figures, Path(model['Config']).name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f'{where}: Published needs Source, Protocol, Videos, Captions, and T2V '
                         f'and V2T with a number for each figure: {type(error).__name__}: '
                         f'{error}') from error
