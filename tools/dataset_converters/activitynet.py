r"""Prepare ActivityNet Captions for paragraph retrieval, all sentences of a video as one caption.

    python tools/dataset_converters/activitynet.py --annotations activitynet_captions \
        --videos data/activitynet/videos --out data/activitynet/paragraph

Reads train.json and val_1.json ({"v_<id>": {"sentences": [...], ...}}); val_1 is the test set.
Protocols: paragraph takes every video that has captions, which gives the published 10,009 and
4,917; paragraph-ids takes those that the official train_ids.json and val_ids.json (["v_<id>", ...])
name, which omit three of them. Video files may be named v_<id> or <id>.
"""
from pathlib import Path

from preparation import Conversion, Published, read_json, run

PROTOCOLS = {'paragraph': dict(train=Published(10009, 10009), test=Published(4917, 4917)),
             'paragraph-ids': dict(train=Published(10007, 10007), test=Published(4916, 4916))}
FILES = {'train': ('train.json', 'train_ids.json'), 'test': ('val_1.json', 'val_ids.json')}


def read_paragraphs(conversion: Conversion, path: Path) -> dict[str, list[str]]:
    """Return one paragraph for every video."""
    paragraphs = {}
    for name, entry in read_json(conversion.source(path), dict).items():
        where = f"'{path}', video '{name}'"
        if not isinstance(entry, dict) or 'sentences' not in entry:
            raise ValueError(f'{where}: expected sentences, found {entry!r}')
        sentences = conversion.captions(where, entry['sentences'])
        paragraphs[name] = [' '.join(sentences)] if sentences else []
    return paragraphs


def read_ids(path: Path) -> list[str]:
    """Read a list of ids, each of which appears once."""
    ids = read_json(path, list)
    for row, name in enumerate(ids, 1):
        if not isinstance(name, str):
            raise ValueError(f"'{path}', entry {row}: expected an id, found {name!r}")
    if len(set(ids)) < len(ids):
        twice = next(name for row, name in enumerate(ids) if name in ids[:row])
        raise ValueError(f"'{path}': the id '{twice}' appears twice")
    return ids


def read(conversion: Conversion, folder: Path, protocol: str) -> None:
    """Add both splits."""
    for split, (captions_name, ids_name) in FILES.items():
        paragraphs = read_paragraphs(conversion, folder / captions_name)
        ids, source = list(paragraphs), captions_name
        if protocol == 'paragraph-ids':
            ids, source = read_ids(conversion.source(folder / ids_name)), ids_name
        conversion.add(split, ids, paragraphs, source, may_lack_captions=True)
    conversion.notes.append('videos: ' + (
        'those of train_ids.json and val_ids.json' if protocol == 'paragraph-ids' else
        'all that have captions; train_ids.json and val_ids.json are not read'))


if __name__ == '__main__':
    run(__doc__, 'ActivityNet Captions', '.mp4', PROTOCOLS, read)
