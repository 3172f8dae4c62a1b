"""Exported towers give the vectors of the model, on every variant of the authors' code."""
import json
import os
import shutil
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmc2v.apis import encode_texts, encode_videos, init_model
from mmc2v.benchmarks import MTEBEncoder
from mmc2v.export.describing import export_model
from mmc2v.export.graphs import write_graphs
from mmc2v.export.runtime import Towers
from mmc2v.search import VideoSearch
from mmc2v.search.store import IndexStore

from ..benchmarks import made_tasks
from ..models import golden
from ..search.common import write_model, write_videos
from ..tiny import ROOT, batch, build_model, random_video

# A case of each variant, and further cases whose inputs it is tried on. To make a graph of the
# larger ones takes torch half a minute each: `make test-export` has all.
VARIANTS = {'F': 'F', 'J': 'JA'}
if 'MMC2V_ALL_VARIANTS' in os.environ:
    VARIANTS.update({'D': 'D', 'A': 'AG', 'C': 'C'})


def add_config(model, size, num_frames):
    """Give a golden model the test pipeline that says how it is fed."""
    model.cfg = Config(dict(
        model=dict(type='mmc2v.CLIP2Video'), test_dataloader=dict(dataset=dict(pipeline=[
            dict(type='mmc2v.SampleGridFrames', num_frames=num_frames),
            dict(type='mmc2v.ResizeCenterCrop', size=size), dict(type='mmc2v.Tokenize')]))))
    return model


@pytest.mark.parametrize('case', VARIANTS)
def test_onnx_gives_the_vectors_of_the_model(case, tmp_path):
    model = add_config(golden.build_through_converter(case, tmp_path).eval(), 32, 12)
    described = export_model(model, tmp_path / 'exported')
    assert described['difference'] < 1e-6
    towers = Towers(tmp_path / 'exported', 'onnxruntime')
    for other in VARIANTS[case]:
        inputs = golden.inputs(other)
        # whole and padded, batches of other sizes, down to one frame of one video
        for count, frames, words in ((6, 12, 16), (1, 12, 16), (3, 7, 12), (2, 4, 9), (1, 1, 3)):
            video, mask = (inputs[key][:count, :frames] for key in ('frames', 'frame_mask'))
            tokens = inputs['tokens'][:count, :words].clone()
            tokens[:, -1] = 511  # the end token, where it was cut
            with torch.inference_mode():
                expected = model.encode_video(video, mask), model.encode_text(tokens)
            found = (towers.encode_video(video.numpy(), mask.numpy()),
                     towers.encode_tokens(tokens.numpy()))
            for one, another in zip(found, expected):
                assert np.abs(one - another.numpy()).max() < 1e-6


@pytest.mark.parametrize('neck', ['mean', 'transformer-frames', 'tdb-attention-differences',
                                  'tdb-mlp-none'])
def test_both_encoders_compile_as_one_graph(neck):
    model = build_model(neck, alignment=neck.endswith(('frames', 'differences'))).eval()
    inputs = batch()
    inputs['frame_mask'][1, 2:] = False
    with torch.inference_mode():
        for encode, arguments in ((model.encode_video, (inputs['frames'], inputs['frame_mask'])),
                                  (model.encode_text, (inputs['tokens'],))):
            torch.compiler.reset()
            compiled = torch.compile(encode, fullgraph=True, backend='aot_eager')
            torch.testing.assert_close(compiled(*arguments), encode(*arguments))


def test_towers_that_leave_padding_out_make_one_graph(tmp_path):
    arch = dict(embed_dim=64, quick_gelu=True,
                vision_cfg=dict(image_size=64, width=16, layers=[1, 1, 1, 1]),
                text_cfg=dict(context_length=32, vocab_size=49408, width=64, heads=1, layers=1))
    model = build_model('mean', arch=arch, alignment=False).eval()
    files = write_graphs(model, tmp_path, 'pt2', (64, 64), 6)
    graph = torch.export.load(tmp_path / files['video']).module()
    frames, mask = torch.randn(2, 7, 3, 64, 64), torch.ones(2, 7, dtype=torch.bool)
    mask[1, 3:] = False
    with torch.inference_mode():
        torch.testing.assert_close(graph(frames=frames, frame_mask=mask),
                                   model.encode_video(frames, mask))


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A folder with a small model, and both of its exported forms, made by the tool."""
    folder = tmp_path_factory.mktemp('exported')
    config, checkpoint = write_model(folder, neck='mean', alignment=False)
    for kind in ('onnx', 'pt2'):
        done = subprocess.run(
            [sys.executable, str(ROOT / 'tools' / 'export.py'), config, checkpoint, '--out',
             str(folder / kind), '--format', kind], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert f'{folder / kind}/video.{kind}' in done.stdout
        assert 'largest difference from the model' in done.stdout
    return folder


def test_an_exported_model_stands_for_the_model(exported, tmp_path):
    videos = []
    for number, frames in enumerate((1, 3, 40)):
        videos.append(tmp_path / f'{number}.mp4')
        random_video(videos[-1], num_frames=frames, seed=number)
    sentences = ['a red ring', 'two dogs play in the water & run']
    model = init_model(exported / 'config.py', str(exported / 'model.pth'))
    for kind in ('onnx', 'pt2'):
        other = init_model(exported / kind)
        for encode, items in ((encode_videos, videos), (encode_texts, sentences)):
            torch.testing.assert_close(encode(other, items), encode(model, items),
                                       rtol=0, atol=1e-6)
    by_openvino = Towers(exported / 'onnx', 'openvino').encode_texts(sentences)
    assert np.abs(by_openvino - encode_texts(model, sentences).numpy()).max() < 1e-5


def test_openvino_tells_nobody_that_it_is_used(exported, tmp_path):
    """Where it would, it notes in the user's folder who is telling."""
    code = ('from mmc2v.export.runtime import Towers\n'
            f"Towers({str(exported / 'onnx')!r}, 'openvino').encode_texts(['a red ring'])")
    environment = {name: value for name, value in os.environ.items() if name != 'CI'}
    subprocess.run([sys.executable, '-c', code], check=True, timeout=300,
                   env={**environment, 'HOME': str(tmp_path)})
    assert not (tmp_path / 'intel').exists()


def test_an_exported_model_searches_and_indexes_as_the_model_does(exported, tmp_path):
    videos = write_videos(tmp_path / 'videos')
    options = dict(window=2.0, stride=1.0, device='cpu')
    model = (str(exported / 'config.py'), str(exported / 'model.pth'))
    found = []
    for index, maker, asker in (('of_model', model, model), ('of_model', None, ()),
                                ('of_model', None, (str(exported / 'onnx'),)),
                                ('of_towers', (str(exported / 'onnx'),), ()),
                                ('of_towers', None, model)):
        if maker:
            with VideoSearch(tmp_path / index, *maker, precision='float32', **options) as search:
                assert search.add(videos, workers=1).counts['indexed'] == 3
        with VideoSearch(tmp_path / index, *asker, device='cpu') as search:
            found.append([(hit.paths, [(moment.start, moment.end, pytest.approx(
                moment.score, abs=1e-3)) for moment in hit.moments])
                for hit in search.search('a red ring')])
    assert all(hits == found[0] for hits in found)
    # a GPU may have made it in half precision; a laptop asks it, and adds nothing
    with VideoSearch(tmp_path / 'half', *model, precision='bfloat16', **options) as search:
        search.add(videos, workers=1)
    with VideoSearch(tmp_path / 'half', str(exported / 'onnx'), device='cpu') as search:
        assert len(search.search('a red ring')) == 3
        with pytest.raises(ValueError, match='is of bfloat16.*not add to it'):
            search.add(videos, workers=1)
    with pytest.raises(ValueError, match="one of float32, bfloat16, got 'half'"):
        VideoSearch(tmp_path / 'new', str(exported / 'onnx'), precision='half').add(videos)
    with pytest.raises(ValueError, match='exported as ONNX'):
        VideoSearch(tmp_path / 'half', str(exported / 'pt2'), device='cpu').search('a red ring')
    with pytest.raises(ValueError, match='neither --checkpoint nor'):
        VideoSearch(tmp_path / 'half', str(exported / 'onnx'), model[1]).search('a red ring')


def test_mteb_takes_an_exported_model_as_the_model(exported, tmp_path):
    paths = made_tasks.write_videos(tmp_path)
    model = MTEBEncoder('made/model', device='cpu', config=exported / 'config.py',
                        checkpoint=str(exported / 'model.pth'))
    expected = {letter: made_tasks.encode(model, made_tasks.rows(paths, letter)) for letter in 'tv'}
    for kind, framework in (('onnx', 'ONNX'), ('pt2', 'PyTorch')):
        other = MTEBEncoder('made/model', device='cpu', config=exported / kind)
        for letter, vectors in expected.items():
            found = made_tasks.encode(other, made_tasks.rows(paths, letter))
            torch.testing.assert_close(found, vectors, rtol=0, atol=1e-6)
        meta = other.mteb_model_meta
        assert (meta.framework, meta.embed_dim, meta.n_parameters) == ([framework], 64, None)
        assert meta.revision == model.mteb_model_meta.revision


def test_a_question_needs_neither_torch_nor_mmaction(exported, tmp_path):
    with VideoSearch(tmp_path / 'my.index', str(exported / 'config.py'),
                     str(exported / 'model.pth'), precision='float32', window=2.0, stride=1.0,
                     device='cpu') as search:
        search.add(write_videos(tmp_path / 'videos'), workers=1)
        expected = [hit.paths for hit in search.search('a red ring')]
    query = ['query', 'a red ring', '--index', str(tmp_path / 'my.index'), '--config',
             str(exported / 'onnx')]
    heavy = ('torch', 'mmengine', 'mmaction', 'mmcv', 'open_clip', 'av', 'decord', 'matplotlib')
    script = str(ROOT / 'tools' / 'search.py')
    code = (f'import runpy, sys\nsys.modules.update(dict.fromkeys({heavy}))\n'
            f'sys.argv = [{script!r}, *{query!r}, "--json"]\n'
            f'runpy.run_path({script!r}, run_name="__main__")')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          check=True, cwd=ROOT)
    assert [hit['paths'] for hit in json.loads(done.stdout)['results']] == expected
    done = subprocess.run([sys.executable, '-X', 'importtime', '-m', 'mmc2v.search', *query],
                          capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {line.rsplit('|', 1)[1].strip().split('.')[0] for line in done.stderr.splitlines()
              if line.startswith('import time')}
    assert {'mmc2v', 'onnxruntime'} <= loaded
    assert not loaded & set(heavy)
    # any other command has all of it, from the first line on
    done = subprocess.run([sys.executable, '-c', 'import mmc2v, sys; print("mmengine" in '
                           'sys.modules)'], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == 'True\n'


def test_a_model_from_a_stranger_names_transforms_alone(exported, tmp_path):
    shutil.copytree(exported / 'onnx', tmp_path / 'theirs')
    described = json.loads((tmp_path / 'theirs' / 'model.json').read_text())
    for bad in ('os.system', ['os.system']):
        described['pipeline'][0]['type'] = bad
        (tmp_path / 'theirs' / 'model.json').write_text(json.dumps(described))
        with pytest.raises(ValueError, match=r"asks for '.*os\.system.*none of the transforms"):
            init_model(tmp_path / 'theirs')


def test_an_index_from_a_stranger_builds_nothing_of_an_exported_model(exported, tmp_path):
    videos = write_videos(tmp_path / 'videos')
    with VideoSearch(tmp_path / 'index', str(exported / 'onnx'), window=2.0, stride=1.0,
                     device='cpu') as search:
        search.add(videos, workers=1)
    # their folder and their index say the same
    shutil.copytree(exported / 'onnx', tmp_path / 'theirs')
    described = json.loads((tmp_path / 'theirs' / 'model.json').read_text())
    described['pipeline'][0]['type'] = 'os.system'
    (tmp_path / 'theirs' / 'model.json').write_text(json.dumps(described))
    with closing(IndexStore(tmp_path / 'index', create=True)) as store:
        store.set(dict(pipeline=described['pipeline'], exported=str(tmp_path / 'theirs')))
    with VideoSearch(tmp_path / 'index', device='cpu') as search:
        assert len(search.search('a red ring')) == 3  # for which nothing is built
        for act in (lambda: search.search(videos / '0.mp4'), lambda: search.add(videos),
                    lambda: search.settings):
            with pytest.raises(ValueError, match="asks for 'os.system'"):
                act()
    with VideoSearch(tmp_path / 'index', checkpoint=str(exported / 'model.pth'),
                     device='cpu') as search, pytest.raises(ValueError, match='os.system'):
        search.search('a red ring')
    with VideoSearch(tmp_path / 'index', str(tmp_path / 'theirs'),
                     device='cpu') as search, pytest.raises(ValueError, match='os.system'):
        search.search(videos / '0.mp4')


def test_the_description_says_how_to_feed_it(exported):
    described = json.loads((exported / 'onnx' / 'model.json').read_text())
    assert described['video']['image_size'] == [32, 32]
    assert described['video']['mean'] == pytest.approx([122.7709383, 116.7460125, 104.09373615])
    assert (described['video']['least_frames'], described['video']['most_frames']) == (5, 1024)
    assert described['width'] == 64
    assert described['kinds'] == ['global']
    assert described['logit_scale'] == pytest.approx(1 / 0.07)
    assert described['tokenizer'] == dict(
        file='tokenizer.json', max_words=32, context_length=32, start_token=49406,
        end_token=49407, pad_token=0)


def test_what_cannot_be_is_refused_and_named(exported, tmp_path):
    with pytest.raises(ValueError, match='has its weights'):
        init_model(exported / 'onnx', 'model.pth')
    with pytest.raises(ValueError, match="on the CPU, not on 'cuda'"):
        init_model(exported / 'onnx', device='cuda')
    with pytest.raises(ValueError, match="one of onnxruntime, openvino, got 'tflite'"):
        Towers(exported / 'onnx', 'tflite')
    with pytest.raises(ValueError, match="got 'bfloat16' by onnxruntime"):
        Towers(exported / 'onnx', 'onnxruntime', precision='bfloat16')
    with pytest.raises(FileNotFoundError, match='no exported model'):
        Towers(tmp_path)
    towers = Towers(exported / 'onnx')
    frames, mask = np.zeros((2, 4, 3, 32, 32), np.float32), np.zeros((2, 4), bool)
    mask[0] = True
    with pytest.raises(ValueError, match=r'videos \[1\].*no valid frame'):
        towers.encode_video(frames, mask)
    with pytest.raises(ValueError, match='1025 frames, but this model takes 1024'):
        towers.encode_video(np.zeros((1, 1025, 3, 1, 1), np.float32), np.ones((1, 1025), bool))
    with pytest.raises(ValueError, match='33 text tokens'):
        towers.encode_tokens(np.full((1, 33), 49407))
    with pytest.raises(ValueError, match='no end token'):
        towers.encode_tokens(np.ones((1, 5), int))
    for text, message in (('{', 'damaged'), ('{"format": 7}', 'format 7'),
                          ('{"format": 1}', 'damaged')):
        (tmp_path / 'model.json').write_text(text)
        with pytest.raises(ValueError, match=message):
            Towers(tmp_path)
    description = json.loads((exported / 'onnx' / 'model.json').read_text())
    description['text']['file'] = '../text.onnx'
    (tmp_path / 'model.json').write_text(json.dumps(description))
    with pytest.raises(FileNotFoundError, match='has no file'):
        Towers(tmp_path)
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'mine.txt').touch()
    model = init_model(exported / 'config.py', str(exported / 'model.pth'))
    with pytest.raises(ValueError, match='is no exported model and stays as it is'):
        export_model(model, tmp_path / 'other')
    assert (tmp_path / 'other' / 'mine.txt').exists()
