r"""Prepare MSR-VTT.

    python tools/dataset_converters/msrvtt.py --annotations msrvtt_data \
        --videos data/msrvtt/videos --protocol 1k-A-9k --out data/msrvtt/1k-A-9k

Reads MSRVTT_data.json ({"sentences": [{"video_id", "caption"}]}) and the lists of the protocol:
1k-A-9k and 1k-A-7k: MSRVTT_train.9k.csv or MSRVTT_train.7k.csv (video_id), MSRVTT_JSFUSION_test.csv
(key,vid_key,video_id,sentence); full: MSRVTT_{train,val,test}.full.csv (video_id).
"""
from pathlib import Path

from preparation import Conversion, Published, read_json, read_table, run

PROTOCOLS = {
    '1k-A-9k': dict(train=Published(9000, 180000), test=Published(1000, 1000)),
    '1k-A-7k': dict(train=Published(7010, 140200), test=Published(1000, 1000)),
    'full': dict(train=Published(6513, 130260), val=Published(497, 9940),
                 test=Published(2990, 59800)),
}


def read_sentences(conversion: Conversion, path: Path) -> dict[str, list[str]]:
    """Return the captions of every video."""
    content = read_json(conversion.source(path), dict)
    if not isinstance(content.get('sentences'), list):
        raise ValueError(f"'{path}': expected {{'sentences': [{{'video_id', 'caption'}}, ...]}}, "
                         f'found the keys {sorted(content)}')
    captions: dict[str, list[str]] = {}
    for row, entry in enumerate(content['sentences'], 1):
        where = f"'{path}', sentence {row}"
        if not isinstance(entry, dict) or not isinstance(entry.get('video_id'), str) \
                or 'caption' not in entry:
            raise ValueError(f'{where}: expected video_id and caption, found {entry!r}')
        text = conversion.caption(where, entry['caption'])
        if text is not None:
            captions.setdefault(entry['video_id'], []).append(text)
    return captions


def read(conversion: Conversion, folder: Path, protocol: str) -> None:
    """Add the splits of a protocol."""
    captions = read_sentences(conversion, folder / 'MSRVTT_data.json')
    lists = {split: f'MSRVTT_{split}.full.csv' for split in ('train', 'val', 'test')} \
        if protocol == 'full' else {'train': f'MSRVTT_train.{protocol[-2:]}.csv'}
    for split, name in lists.items():
        rows = read_table(conversion.source(folder / name), ['video_id'], unique='video_id')
        conversion.add(split, [row['video_id'] for row in rows], captions, name, first_row=2)
    if protocol != 'full':
        path = conversion.source(folder / 'MSRVTT_JSFUSION_test.csv')
        rows = read_table(path, ['key', 'vid_key', 'video_id', 'sentence'], unique='video_id')
        test = {row['video_id']: conversion.captions(f"'{path}', row {number}", [row['sentence']])
                for number, row in enumerate(rows, 2)}
        conversion.add('test', test, test, path.name)


if __name__ == '__main__':
    run(__doc__, 'MSR-VTT', '.mp4', PROTOCOLS, read)
