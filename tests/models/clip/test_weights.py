"""Starting from CLIP: which parameter starts from which, exactly, and what is refused."""
import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mmc2v.models import read_clip_weights
from mmc2v.registry import MODELS

from ...tiny import ARCH, model_config
from .. import golden


def source(state, expression):
    """Evaluate 'key' or 'key[0:n]' of the mapping."""
    key, rows = re.fullmatch(r'([\w.]+)(?:\[0:(\w+)\])?', expression).groups()
    stop = {None: None, 'embed_dim': state['text_projection'].shape[1]}.get(rows, rows)
    return state[key][:int(stop)] if stop else state[key]


@pytest.mark.parametrize('extension', ['pt', 'safetensors'])
def test_every_key_of_the_mapping(extension, tmp_path):
    """Cases A and C have all of the mapping's parameters between them."""
    mapping = json.loads((golden.GOLDEN / 'init_mapping.json').read_text())
    seen = set()
    for case in ('A', 'C'):
        clip = golden.clip_state(golden.superset(case))
        # values that float16 cannot hold: nothing may round through it
        clip = {key: value + 1e-5 * torch.rand_like(value) for key, value in clip.items()}
        path = tmp_path / f'{case}.{extension}'
        save_file(clip, path) if extension == 'safetensors' else torch.save(clip, path)
        model = MODELS.build(dict(golden.model_config(case), pretrained=str(path)))
        random = model.init_weights()
        assert random == ['head.alignment.weight_center', 'head.alignment.emb_center']
        for name, value in model.state_dict().items():
            key = golden.converter.authors_key(name)
            if key in mapping['from_clip']:
                assert torch.equal(value, source(clip, mapping['from_clip'][key])), key
                seen.add(key)
            else:
                assert key in mapping['not_from_clip'], key
        norm = model.neck.difference_encoder.norm
        assert torch.equal(norm.weight, torch.ones_like(norm.weight))
        assert not norm.bias.any()
        for center in model.head.alignment.parameters():
            assert 0.1 < center.std() < 0.15  # N(0, 1/8)
            assert abs(center.mean()) < 0.02
    assert seen == set(mapping['from_clip'])


def test_frame_positions_of_a_chosen_size_do_not_start_from_clip(tmp_path):
    clip = golden.clip_state(golden.superset('A'))
    torch.save(clip, tmp_path / 'clip.pt')
    config = dict(golden.model_config('A'), pretrained=str(tmp_path / 'clip.pt'))
    config['neck'] = dict(config['neck'], position_std=2.0)
    model = MODELS.build(config)
    random = model.init_weights()
    assert 'neck.position_embedding.weight' in random
    assert not any(name.startswith('neck.transformer') for name in random)
    assert 1.5 < model.neck.position_embedding.weight.std() < 2.5
    assert torch.equal(model.neck.type_embedding.weight, clip['positional_embedding'][:2])


def openai_archive(path, clip, half=True):
    """Write weights as OpenAI's TorchScript archives hold them."""
    class Archive(torch.nn.Module):
        def forward(self, x):
            return x

    def put(module, name, value):
        first, _, rest = name.partition('.')
        if rest:
            if not hasattr(module, first):
                module.add_module(first, Archive())
            put(getattr(module, first), rest, value)
        else:
            module.register_parameter(first, torch.nn.Parameter(value, requires_grad=False))

    root = Archive()
    for key, value in clip.items():
        put(root, key, value.half() if half else value)
    for key, value in (('input_resolution', 32), ('context_length', 32), ('vocab_size', 49408)):
        root.register_buffer(key, torch.tensor(value))
    torch.jit.save(torch.jit.script(root), str(path))


@pytest.fixture(scope='module')
def clip():
    import open_clip
    torch.manual_seed(0)
    return open_clip.CLIP(**ARCH).state_dict()


def test_openai_archive_is_read_and_widened_exactly(clip, tmp_path):
    openai_archive(tmp_path / 'clip.pt', clip)
    state = read_clip_weights(str(tmp_path / 'clip.pt'), ARCH)
    assert set(state) == set(clip)
    for key, value in clip.items():
        assert torch.equal(state[key], value.half().float()), key


def test_gelu_architecture_is_refused_with_openai_weights(clip, tmp_path):
    with pytest.raises(ValueError, match="arch='ViT-B-32-quickgelu'"):
        read_clip_weights('openai', 'ViT-B-32')
    openai_archive(tmp_path / 'clip.pt', clip)
    with pytest.raises(ValueError, match='quick_gelu=True'):
        read_clip_weights(str(tmp_path / 'clip.pt'), dict(ARCH, quick_gelu=False))


def test_quickgelu_architecture_is_refused_with_gelu_weights(monkeypatch):
    monkeypatch.setattr('mmc2v.models.clip.weights.get_pretrained_cfg',
                        lambda arch, tag: dict(url='https://example.org/weights.pt'))
    with pytest.raises(ValueError, match="use arch='ViT-B-32'"):
        read_clip_weights('gelu_tag', 'ViT-B-32-quickgelu')


def test_missing_file_and_unknown_tag_say_what_to_do():
    with pytest.raises(FileNotFoundError, match='/nowhere/clip.pt.*Correct the path'):
        read_clip_weights('/nowhere/clip.pt', 'ViT-B-32-quickgelu')
    with pytest.raises(FileNotFoundError, match="opnai.*Tags: .*'openai'"):
        read_clip_weights('opnai', 'ViT-B-32-quickgelu')


def test_unreachable_tag_says_what_to_do(monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError('Name or service not known')
    monkeypatch.setattr('mmc2v.models.clip.weights.download_pretrained', no_network)
    with pytest.raises(ConnectionError, match='service not known.*model.pretrained=/path/to/file'):
        read_clip_weights('openai', 'ViT-B-32-quickgelu')


def test_damaged_file_is_refused(tmp_path):
    (tmp_path / 'clip.pt').write_bytes(b'not weights')
    with pytest.raises(ValueError, match='clip.pt cannot be read'):
        read_clip_weights(str(tmp_path / 'clip.pt'), ARCH)


def test_pickled_code_is_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / 'was_here'), 'w'))
    torch.save(dict(state_dict=Hostile()), tmp_path / 'clip.pt')
    with pytest.raises(ValueError, match='cannot be read'):
        read_clip_weights(str(tmp_path / 'clip.pt'), ARCH)
    assert not (tmp_path / 'was_here').exists()


def test_other_architecture_is_refused_and_named(clip, tmp_path):
    torch.save(clip, tmp_path / 'clip.pt')
    other = dict(ARCH, vision_cfg=dict(ARCH['vision_cfg'], layers=2, patch_size=8))
    with pytest.raises(ValueError, match='layers 1 instead of 2.*patch size 16 instead of 8'):
        read_clip_weights(str(tmp_path / 'clip.pt'), other)
    torch.save({'model.weight': torch.zeros(1)}, tmp_path / 'other.pt')
    with pytest.raises(ValueError, match='no CLIP model'):
        read_clip_weights(str(tmp_path / 'other.pt'), ARCH)


def test_name_of_the_fitting_architecture_is_suggested():
    from mmc2v.models.clip.architecture import clip_config
    from mmc2v.models.clip.weights import _dimensions, _suggest
    assert "'ViT-L-14-quickgelu'" in _suggest(_dimensions(clip_config('ViT-L-14-quickgelu')), True)


def test_temporal_parts_that_do_not_fit_are_refused(clip, tmp_path):
    torch.save(clip, tmp_path / 'clip.pt')
    config = model_config(pretrained=str(tmp_path / 'clip.pt'))
    config['neck'].update(num_layers=3, max_frames=32)  # CLIP has 2 text layers
    with pytest.raises(ValueError, match='no more temporal layers than text layers'):
        MODELS.build(config).init_weights()
    config['neck'].update(num_layers=1, max_frames=77)  # CLIP has 32 positions
    with pytest.raises(ValueError, match='max_frames to at most 32'):
        MODELS.build(config).init_weights()


def test_logit_scale_starts_from_clip_or_from_its_default(clip, tmp_path):
    scale = dict(clip, logit_scale=torch.tensor(4.2))
    torch.save(scale, tmp_path / 'clip.pt')
    config = model_config('mean', pretrained=str(tmp_path / 'clip.pt'))
    model = MODELS.build(config)
    model.init_weights()
    assert model.head.logit_scale.item() == pytest.approx(4.2)
    assert MODELS.build(model_config()).head.logit_scale.item() == pytest.approx(np.log(1 / 0.07))


def test_one_tower_of_another_architecture_is_refused(clip, tmp_path):
    """Shapes are equal with GELU and QuickGELU: nothing else would notice."""
    torch.save(clip, tmp_path / 'clip.pt')
    config = model_config('mean', pretrained=str(tmp_path / 'clip.pt'))
    config['backbone']['arch'] = dict(ARCH, quick_gelu=False)
    with pytest.raises(ValueError, match='must have one arch'):
        MODELS.build(config).init_weights()


def test_file_of_something_else_is_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / 'tensor.pt')
    with pytest.raises(ValueError, match='holds a Tensor, not CLIP weights'):
        read_clip_weights(str(tmp_path / 'tensor.pt'), ARCH)
