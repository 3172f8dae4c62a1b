r"""Prepare DiDeMo for paragraph retrieval: all descriptions of a video joined are its caption.

    python tools/dataset_converters/didemo.py --annotations didemo_data \
        --videos data/didemo/videos --out data/didemo/paragraph

Reads {train,val,test}_list.txt (one file name a row) and {train,val,test}_data.json
([{"video", "description", ...}]), descriptions in the order of the file. The training list that
is in use has 8,392 videos; papers also cite 8,395, the size of DiDeMo's own training set.
"""
from pathlib import Path

from preparation import Conversion, Published, read_json, read_list, run

PROTOCOLS = {'paragraph': dict(train=Published(8392, 8392), val=Published(1065, 1065),
                               test=Published(1004, 1004))}


def read(conversion: Conversion, folder: Path, protocol: str) -> None:
    """Add the three splits."""
    for split in ('train', 'val', 'test'):
        ids = read_list(conversion.source(folder / f'{split}_list.txt'))
        path = conversion.source(folder / f'{split}_data.json')
        descriptions: dict[str, list[str]] = {}
        for row, entry in enumerate(read_json(path, list), 1):
            where = f"'{path}', entry {row}"
            if not isinstance(entry, dict) or not isinstance(entry.get('video'), str) \
                    or 'description' not in entry:
                raise ValueError(f'{where}: expected video and description, found {entry!r}')
            text = conversion.caption(where, entry['description'])
            if text is not None:
                descriptions.setdefault(entry['video'], []).append(text)
        paragraphs = {name: [' '.join(texts)] for name, texts in descriptions.items()}
        conversion.add(split, ids, paragraphs, f'{split}_list.txt', may_lack_captions=True)


if __name__ == '__main__':
    run(__doc__, 'DiDeMo', '.mp4', PROTOCOLS, read)
