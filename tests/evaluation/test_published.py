"""A paper's figures stand beside measured ones for the paper's model and protocol alone."""
import pytest
from mmengine.config import Config

from mmc2v.evaluation import find_published, format_table

METAFILE = '''
Models:
  - Name: other
    Config: configs/other.py
  - Name: main
    Config: configs/main.py
    Published:
      Source: arXiv 0000.00000
      Protocol: Data half
      Videos: 3
      Captions: 4
      T2V: {R@1: 40.5, R@5: 70, R@10: 80, MdR: 2, MnR: 9.5}
      V2T: {R@1: 41.5, R@5: 71, R@10: 81, MdR: 3, MnR: 10.5}
'''
MAIN = '''
model = dict(type='A', pretrained='openai', neck=dict(type='B'), head=dict(type='C', alignment=2))
train_dataloader = dict(batch_size=4, dataset=dict(type='D', ann_file='half/train.json'))
test_dataloader = dict(dataset=dict(
    type='D', data_root='data', ann_file='half/test.json', pipeline=[dict(type='E', size=7)]))
'''
METRICS = {'t2v/R1': 25.0, 't2v/tied': 1, 't2v_ties_won/R1': 50.0, 'v2t/R1': 30.0, 'v2t/tied': 0,
           'videos': 3, 'captions': 4, 'undecodable': 0}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'metafile.yml').write_text(METAFILE)
    (tmp_path / 'main.py').write_text(MAIN)
    return tmp_path


def published(folder, name='main.py', **options):
    config = Config.fromfile(folder / name)
    config.merge_from_dict(options)
    return find_published(config)


def test_the_listed_config_has_them(folder):
    found = published(folder)
    assert (found.source, found.protocol, found.videos, found.captions) == (
        'arXiv 0000.00000', 'Data half', 3, 4)
    assert found.figures['t2v/R1'] == 40.5
    assert found.figures['v2t/MdR'] == 3
    assert len(found.figures) == 10


def test_where_data_and_weights_lie_and_how_it_trains_does_not_matter(folder):
    assert published(folder, **{
        'model.pretrained': '/weights.pt', 'test_dataloader.dataset.data_root': '/elsewhere',
        'train_dataloader.batch_size': 128, 'work_dir': '/work'}) == published(folder)


@pytest.mark.parametrize('option', [
    {'model.neck.type': 'MeanPooling'}, {'model.head.alignment': None},
    {'test_dataloader.dataset.ann_file': 'other/test.json'},
    {'test_dataloader.dataset.pipeline.0.size': 8}, {'test_dataloader.dataset.type': 'F'},
    {'train_dataloader.dataset.ann_file': 'more/train.json'}], ids=str)
def test_another_model_or_test_set_or_training_list_has_none(option, folder):
    assert published(folder, **option) is None


def test_a_config_on_the_listed_one_has_them_where_it_changes_none_of_that(folder, tmp_path):
    (folder / 'users').mkdir()
    for name, change in (('same', "optim_wrapper = dict(lr=1)"),
                         ('variant', "model = dict(neck=dict(_delete_=True, type='M'))"),
                         ('subset', "test_dataloader = dict(dataset=dict(ann_file='few.json'))")):
        (folder / 'users' / f'{name}.py').write_text(f"_base_ = '../main.py'\n{change}\n")
    assert published(folder, 'users/same.py') == published(folder)
    assert published(folder, 'users/variant.py') is None
    assert published(folder, 'users/subset.py') is None


def test_a_listed_config_without_figures_does_not_take_its_bases(folder):
    """As the 7k training list, whose test set is that of the 9k one."""
    (folder / 'other.py').write_text("_base_ = 'main.py'\n")
    assert published(folder, 'other.py') is None


def test_no_metafile_and_no_figures_are_none(folder):
    (folder / 'alone').mkdir()
    (folder / 'alone' / 'main.py').write_text(MAIN)
    assert published(folder, 'alone/main.py') is None
    (folder / 'unlisted.py').write_text('train_dataloader = None\n')
    assert published(folder, 'unlisted.py') is None


def test_a_wrong_entry_is_named(folder):
    (folder / 'metafile.yml').write_text(METAFILE.replace('R@1: 40.5', 'R@1: many'))
    with pytest.raises(ValueError, match=r'(?s)metafile\.yml.*main\.py.*could not convert.*many'):
        published(folder)
    (folder / 'metafile.yml').write_text(METAFILE.replace('      Videos: 3\n', ''))
    with pytest.raises(ValueError, match=r"Published needs .*KeyError: 'Videos'"):
        published(folder)


@pytest.mark.parametrize(('change', 'protocol', 'is_shown'), [
    ({}, None, True), ({}, 'Data half', True), (dict(listed_videos=3, missing=0), None, True),
    ({}, 'Data whole', False), (dict(videos=2), None, False), (dict(captions=5), None, False),
    (dict(listed_videos=4, missing=1), None, False), (dict(undecodable=1), None, False),
    ({'t2v/R1': None}, None, False)], ids=str)
def test_only_the_whole_test_set_of_the_protocol_is_comparable(change, protocol, is_shown, folder):
    metrics = {key: value for key, value in {**METRICS, **change}.items() if value is not None}
    assert published(folder).comparable_to(metrics, protocol) == is_shown


def test_rows_of_the_paper_stand_below_the_measured_ones_and_say_whose_they_are(folder):
    lines = format_table(METRICS, published(folder)).splitlines()
    titles = [line[:19].rstrip() for line in lines]
    assert titles[1:6] == ['T2V', "T2V, the paper's", 'T2V ties won', 'V2T', "V2T, the paper's"]
    assert lines[2][19:].split() == ['40.5', '70.0', '80.0', '2.0', '9.5']
    assert lines[2].index('40.5') == lines[1].index('25.0')
    assert lines[-2].startswith('3 videos, 4 captions')
    assert lines[-1] == "the paper's: arXiv 0000.00000, not measured here"
    assert 'paper' not in format_table(METRICS)


def test_a_metafile_runs_nothing(folder):
    (folder / 'metafile.yml').write_text(
        f'Models: !!python/object/apply:os.system ["touch {folder}/marker"]')
    with pytest.raises(ValueError, match=r"metafile\.yml' is no plain YAML.*os\.system"):
        published(folder)
    assert not (folder / 'marker').exists()
