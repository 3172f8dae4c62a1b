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
    In Collection: A2B
    Metadata: {Architecture: ViT-X, Centers: 2}
    Published:
      Source: arXiv 0000.00000
      Protocol: Data half
      Videos: 3
      Captions: 4
      T2V: {R@1: 40.5, R@5: 70, R@10: 80, MdR: 2, MnR: 9.5}
      V2T: {R@1: 41.5, R@5: 71, R@10: 81, MdR: 3, MnR: 10.5}
'''
MAIN = '''
model = dict(type='A', pretrained='openai', backbone=dict(type='V', arch='X'),
             neck=dict(type='B'), head=dict(type='C', alignment=2))
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


def test_nor_does_what_of_the_towers_is_trained(folder):
    assert published(folder, **{'model.backbone.freeze_layer_num': 0,
                                'model.backbone.grad_checkpointing': True}) == published(folder)


@pytest.mark.parametrize(('key', 'value'), [
    ('model.neck.type', 'MeanPooling'), ('model.backbone.arch', 'Y'),
    ('model.head.alignment', None),
    ('test_dataloader.dataset.ann_file', 'other/test.json'),
    ('test_dataloader.dataset.pipeline.0.size', 8), ('test_dataloader.dataset.type', 'F'),
    ('test_dataloader.dataset.pipeline', []),
    ('train_dataloader.dataset.ann_file', 'more/train.json')])
def test_another_model_or_test_set_or_training_list_is_named(key, value, folder):
    found = published(folder, **{key: value})
    assert found.changed == (key,)
    reason, = found.objections(METRICS, 'Data half')
    assert reason == f'the config is not main.py in {key}'


def test_a_config_on_the_listed_one_has_them_where_it_changes_none_of_that(folder, tmp_path):
    (folder / 'users').mkdir()
    for name, change in (('same', "optim_wrapper = dict(lr=1)"),
                         ('variant', "model = dict(neck=dict(_delete_=True, type='M', width=3))"),
                         ('subset', "test_dataloader = dict(dataset=dict(ann_file='few.json'))")):
        (folder / 'users' / f'{name}.py').write_text(f"_base_ = '../main.py'\n{change}\n")
    assert published(folder, 'users/same.py') == published(folder)
    assert published(folder, 'users/variant.py').changed == ('model.neck.type',)
    assert published(folder, 'users/subset.py').changed == ('test_dataloader.dataset.ann_file',)


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


@pytest.mark.parametrize(('change', 'protocol', 'reasons'), [
    ({}, None, []), ({}, 'Data half', []), (dict(listed_videos=3, missing=0), None, []),
    ({}, 'Data whole', ['the test set is that of Data whole']),
    (dict(videos=2), None, ['2 videos and 4 captions were measured, theirs are 3 and 4']),
    (dict(captions=5), None, ['3 videos and 5 captions were measured, theirs are 3 and 4']),
    (dict(listed_videos=4, missing=1), None, ['missing videos: 1']),
    (dict(undecodable=1), None, ['undecodable videos: 1']),
    (dict(videos=2), 'Data whole', ['the test set is that of Data whole',
                                    '2 videos and 4 captions were measured, theirs are 3 and 4']),
    ({'t2v/R1': None}, None, ['there is no t2v/R1 among the figures'])], ids=str)
def test_only_the_whole_test_set_of_the_protocol_compares(change, protocol, reasons, folder):
    metrics = {key: value for key, value in {**METRICS, **change}.items() if value is not None}
    assert published(folder).objections(metrics, protocol) == reasons


def test_rows_of_the_paper_stand_below_the_measured_ones_and_say_whose_they_are(folder):
    lines = format_table(METRICS, published(folder)).splitlines()
    titles = [line[:19].rstrip() for line in lines]
    assert titles[1:6] == ['T2V', "T2V, the paper's", 'T2V ties won', 'V2T', "V2T, the paper's"]
    assert lines[2][19:].split() == ['40.5', '70.0', '80.0', '2.0', '9.5']
    assert lines[2].index('40.5') == lines[1].index('25.0')
    assert lines[-2].startswith('3 videos, 4 captions')
    assert lines[-1] == ("the paper's: arXiv 0000.00000, A2B, ViT-X, K = 2; Data half; the "
                         "authors' figures, not measured here")
    assert 'paper' not in format_table(METRICS)


def test_rows_of_other_scores_and_conventions_have_none_of_the_papers(folder):
    metrics = {**METRICS, **{f'{name}/R1': 60.0 for name in (
        't2v_dsl', 'v2t_dsl', 't2v_qbnorm', 'v2t_all_captions', 't2v_dsl_ties_won')}}
    titles = [line.split('  ')[0] for line in format_table(metrics, published(folder)).splitlines()]
    assert [title for title in titles if title.endswith("the paper's")] == [
        "T2V, the paper's", "V2T, the paper's"]
    assert {'T2V with dual softmax', 'T2V with QB-Norm', 'V2T among all captions'} <= set(titles)


def test_a_metafile_runs_nothing(folder):
    (folder / 'metafile.yml').write_text(
        f'Models: !!python/object/apply:os.system ["touch {folder}/marker"]')
    with pytest.raises(ValueError, match=r"metafile\.yml' is no plain YAML.*os\.system"):
        published(folder)
    assert not (folder / 'marker').exists()
