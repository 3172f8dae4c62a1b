r"""Prepare VATEX with its English captions.

    python tools/dataset_converters/vatex.py --annotations vatex_data --videos data/vatex/videos \
        --protocol hgr --out data/vatex/hgr

Reads the captions from vatex_data.json ({id: {"enCap": [...]}}) or, where that is not there, from
the official vatex_*.json ([{"videoID", "enCap"}]: vatex_training_v1.0.json, and
vatex_validation_v1.0.json for the test lists). Protocols: hgr with {train,val,test}_list.txt, and
paper, CLIP2Video's own split: train_list.txt with test1k5_sec_list.txt, without a validation list.
"""
from pathlib import Path

from preparation import Conversion, Published, read_json, read_list, run

PROTOCOLS = {
    'hgr': dict(train=Published(25991, 259910), val=Published(1500, 15000),
                test=Published(1500, 15000)),
    'paper': dict(train=Published(25991, 259910), test=Published(1500, 15000)),
}
LISTS = {'hgr': dict(train='train_list.txt', val='val_list.txt', test='test_list.txt'),
         'paper': dict(train='train_list.txt', test='test1k5_sec_list.txt')}


def read_captions(conversion: Conversion, folder: Path) -> dict[str, list[str]]:
    """Return the English captions of every video, from whichever source there is."""
    merged = folder / 'vatex_data.json'
    official = sorted(set(folder.glob('vatex_*.json')) - {merged})
    if merged.is_file():
        content = read_json(conversion.source(merged), dict)
        entries = [(f"'{merged}', video '{name}'", name, entry) for name, entry in content.items()]
    elif official:
        entries = [(f"'{path}', entry {row}", None, entry) for path in official
                   for row, entry in enumerate(read_json(conversion.source(path), list), 1)]
    else:
        raise FileNotFoundError(f"'{folder}' has neither vatex_data.json nor "
                                'vatex_training_v1.0.json')
    captions: dict[str, list[str]] = {}
    for where, name, entry in entries:
        if not isinstance(entry, dict) or not (name or isinstance(entry.get('videoID'), str)):
            raise ValueError(f'{where}: expected videoID and enCap, found {entry!r}')
        if 'enCap' not in entry:
            if official and not merged.is_file():
                continue  # the private test set has no captions
            raise ValueError(f'{where}: expected enCap, found the keys {sorted(entry)}')
        name = name or entry['videoID']
        if name in captions:
            raise ValueError(f"{where}: the id '{name}' appears twice")
        captions[name] = conversion.captions(where, entry['enCap'])
    return captions


def read(conversion: Conversion, folder: Path, protocol: str) -> None:
    """Add the splits of a protocol."""
    captions = read_captions(conversion, folder)
    for split, name in LISTS[protocol].items():
        conversion.add(split, read_list(conversion.source(folder / name)), captions, name)


if __name__ == '__main__':
    run(__doc__, 'VATEX', '.mp4', PROTOCOLS, read)
