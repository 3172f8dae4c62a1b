"""Retrieval tasks of MTEB's own classes over videos that are made here."""
from pathlib import Path

from datasets import Dataset, Video
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata
from torch.utils.data import DataLoader

from ..tiny import random_video

NUM = 7
CAPTIONS = [f'a {color} ring moves {way}' for color, way in zip(
    ('red', 'blue', 'green', 'white', 'grey', 'pink', 'black'), ('left', 'up', 'right') * 3)]


def write_videos(folder):
    """Write short videos of different lengths; return their paths."""
    paths = [folder / f'{number}.mp4' for number in range(NUM)]
    for number, path in enumerate(paths):
        random_video(path, num_frames=3 + 2 * number, seed=number)
    return [str(path) for path in paths]


def as_bytes(paths):
    """Return videos as data sets hold them that were downloaded: every second one in the table."""
    return [dict(path=Path(path).name, bytes=Path(path).read_bytes()) if number % 2 else
            dict(path=path, bytes=None) for number, path in enumerate(paths)]


def columns(videos):
    """Return the columns by the letters of a category: t, v, i, a."""
    ids = [f'row{number}' for number in range(len(videos))]
    made = dict(t=('text', CAPTIONS), v=('video', videos), i=('image', ids), a=('audio', ids))
    return ids, made


def task(category, videos, name='Made'):
    """Return a task such as 't2v': each caption belongs to the video of the same row."""
    class MadeTask(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=name, description='Made here.', dataset=dict(path='made/here', revision='1'),
            type='Any2AnyRetrieval', category=category, eval_langs=['eng-Latn'],
            eval_splits=['test'], main_score='ndcg_at_10',
            modalities=[dict(t='text', v='video', i='image', a='audio')[letter]
                        for letter in category if letter != '2'])

        def load_data(self, num_proc=None, **kwargs):
            ids, made = columns(videos)
            sides = []
            for letters in category.split('2'):
                rows = Dataset.from_dict(dict(id=ids, **dict(made[letter] for letter in letters)))
                sides.append(rows.cast_column('video', Video()) if 'v' in letters else rows)
            self.dataset = dict(default=dict(test=RetrievalSplitData(
                queries=sides[0], corpus=sides[1],
                relevant_docs={row: {row: 1} for row in ids}, top_ranked=None)))
            self.data_loaded = True

    return MadeTask()


def rows(paths, letter):
    """Return the loader that MTEB makes of one column."""
    ids, made = columns(as_bytes(paths))
    name, values = made[letter]
    found = Dataset.from_dict(dict(id=ids, **{name: values}))
    return DataLoader(found.cast_column('video', Video()) if letter == 'v' else found, 4)


def encode(model, loader):
    """Encode what a loader has, as MTEB does."""
    return model.encode(loader, task_metadata=task('t2v', []).metadata, hf_split='test',
                        hf_subset='default')
