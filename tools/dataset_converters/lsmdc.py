r"""Prepare LSMDC.

    python tools/dataset_converters/lsmdc.py --annotations lsmdc --videos data/lsmdc/videos \
        --out data/lsmdc/1k

Reads LSMDC16_annos_training.csv, LSMDC16_annos_val.csv and LSMDC16_challenge_1000_publictect.csv:
six columns separated by tabs, without a header. In training and validation a clip may appear with
several sentences, which all become its captions, a repeated one as well; in test each clip has one.
"""
from pathlib import Path

from preparation import Conversion, Published, read_table, run

PROTOCOLS = {'1k': dict(train=Published(None, 101079), val=Published(None, 7408),
                        test=Published(1000, 1000))}
FILES = {'train': 'LSMDC16_annos_training.csv', 'val': 'LSMDC16_annos_val.csv',
         'test': 'LSMDC16_challenge_1000_publictect.csv'}
COLUMNS = ('clip_id', 'start_aligned', 'end_aligned', 'start_extracted', 'end_extracted',
           'sentence')


def read(conversion: Conversion, folder: Path, protocol: str) -> None:
    """Add the three splits."""
    for split, name in FILES.items():
        path = conversion.source(folder / name)
        rows = read_table(path, COLUMNS, separator='\t', has_header=False, quoted=False,
                          unique='clip_id' if split == 'test' else None)
        captions: dict[str, list[str]] = {}
        for number, row in enumerate(rows, 1):
            conversion.append(captions, row['clip_id'], f"'{path}', row {number}", row['sentence'])
        conversion.add(split, captions, captions, name)


if __name__ == '__main__':
    run(__doc__, 'LSMDC', '.avi', PROTOCOLS, read)
