r"""Prepare MSVD.

    python tools/dataset_converters/msvd.py --annotations msvd_data --videos data/msvd/videos \
        --out data/msvd/standard

Reads raw-captions.pkl ({id: [[word, ...], ...]}; nothing in it is executed) and
{train,val,test}_list.txt (one id a row). All captions are used, in test as well.
"""
from pathlib import Path

from preparation import Conversion, Published, read_list, read_word_lists, run

PROTOCOLS = {'standard': dict(train=Published(1200, 48774), val=Published(100, 4290),
                              test=Published(670, 27763))}


def read(conversion: Conversion, folder: Path, protocol: str) -> None:
    """Add the three splits."""
    path = conversion.source(folder / 'raw-captions.pkl')
    words = read_word_lists(path)
    for split in ('train', 'val', 'test'):
        source = conversion.source(folder / f'{split}_list.txt')
        ids = read_list(source)
        captions = {name: conversion.captions(f"'{path}', video '{name}'",
                                              [' '.join(caption) for caption in words[name]])
                    for name in ids if name in words}
        conversion.add(split, ids, captions, source.name)


if __name__ == '__main__':
    run(__doc__, 'MSVD', '.avi', PROTOCOLS, read)
