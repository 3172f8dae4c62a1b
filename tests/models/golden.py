"""Reads golden folders: numbers of the authors' code, and the model that they belong to."""
import importlib.util
import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from mmc2v.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / 'tests' / 'data' / 'golden'
GOLDEN = Path(os.environ.get('MMC2V_GOLDEN') or OWN)
CASES = json.loads((GOLDEN / 'cases.json').read_text())
GRAD_NORMS = json.loads((GOLDEN / 'grad_norms.json').read_text())


def load_tool(path):
    """Import a script under tools/ as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / 'tools' / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


converter = load_tool('model_converters/clip2video_to_mmc2v.py')


@cache
def arrays(name, folder=GOLDEN):
    """All arrays of <folder>/<name>.npz."""
    with np.load(folder / f'{name}.npz') as stored:
        return {key: stored[key] for key in stored.files}


def superset(case):
    """The parameters of the case, authors' names; the superset has those of all variants."""
    state = dict(arrays('weights'))
    state.update({key.removeprefix('override/'): value for key, value in
                  arrays(f'case_{case}').items() if key.startswith('override/')})
    return state


def count_layers(keys, prefix):
    return len({key[len(prefix):].split('.')[0] for key in keys if key.startswith(prefix)})


def arch(state, image_size):
    """CLIP's sizes, read off its weights under OpenAI's keys."""
    width, text_width = len(state['visual.conv1.weight']), len(state['ln_final.weight'])
    context, vocabulary = len(state['positional_embedding']), len(state['token_embedding.weight'])
    return dict(
        embed_dim=state['text_projection'].shape[1], quick_gelu=True,
        vision_cfg=dict(image_size=image_size, patch_size=state['visual.conv1.weight'].shape[-1],
                        width=width, head_width=64,
                        layers=count_layers(state, 'visual.transformer.resblocks.')),
        text_cfg=dict(context_length=context, vocab_size=vocabulary, width=text_width,
                      heads=text_width // 64,
                      layers=count_layers(state, 'transformer.resblocks.')))


def clip_state(state):
    return {key.removeprefix('clip.'): torch.from_numpy(value).float()
            for key, value in state.items() if key.startswith('clip.')}


ENCODERS = {'sigmoid_selfA': 'AttentionDifference', 'sigmoid_mlp': 'MLPDifference',
            '': 'IdentityDifference'}
BRANCHES = {'TAB_TDB': 'DifferenceLocalBranch', 'TAB': 'FrameLocalBranch'}


def model_config(case):
    """The config of the case's variant, with every size read from the data."""
    variant, state = CASES[case]['config'], superset(case)
    image_size = arrays(f'case_{case}')['in/frames'].shape[-1]
    clip = arch(clip_state(state), image_size)
    has_alignment = variant['center_type'] == 'TAB'
    branch = variant['center_proj'] if has_alignment else ''
    neck = dict(type='mmc2v.MeanPooling')
    if variant['sim_type'] == 'seqTransf':
        neck = dict(type='mmc2v.TemporalTransformer', embed_dim=clip['embed_dim'],
                    num_layers=variant['cross_num_hidden_layers'],
                    max_frames=len(state['frame_position_embeddings.weight']))
        if branch:
            neck['local_branch'] = dict(type=f'mmc2v.{BRANCHES[branch]}')
        if variant['temporal_type'] == 'TDB':
            neck.update(type='mmc2v.TemporalDifferenceBlock', difference_encoder=dict(
                type=f'mmc2v.{ENCODERS[variant["temporal_proj"]]}'))
    head = dict(type='mmc2v.RetrievalHead', embed_dim=clip['embed_dim'],
                global_weight=variant['center_weight'])
    if has_alignment:
        head['alignment'] = dict(type='mmc2v.TemporalAlignmentBlock',
                                 num_centers=len(state['weight_center']))
    return dict(type='mmc2v.CLIP2Video', backbone=dict(type='mmc2v.CLIPVisionTower', arch=clip),
                text_backbone=dict(type='mmc2v.CLIPTextTower', arch=clip), neck=neck, head=head)


def build_through_converter(case, folder):
    """Build the case's model as a user would: config file, converted checkpoint, load."""
    stored = next(iter(GRAD_NORMS[case].values()))
    state = superset(case)
    np.savez(folder / 'authors.npz', **{key: state[key] for key in stored})
    Config(dict(model=model_config(case))).dump(folder / 'config.py')
    unused = sorted({key.split('.')[0] for key, norm in stored.items() if norm is None})
    drop = ['--drop', *unused] if unused else []
    dropped = converter.main([str(folder / 'authors.npz'), str(folder / 'ours.pth'),
                              '--config', str(folder / 'config.py'), *drop])
    assert set(dropped) == {key for key, norm in stored.items() if norm is None}
    model = MODELS.build(Config.fromfile(folder / 'config.py').model)
    load_checkpoint(model, str(folder / 'ours.pth'), map_location='cpu', strict=True)
    return model


def inputs(case, dtype=torch.float32):
    stored = arrays(f'case_{case}')
    return dict(frames=torch.from_numpy(stored['in/frames']).to(dtype),
                frame_mask=torch.from_numpy(stored['in/video_mask']).bool(),
                tokens=torch.from_numpy(stored['in/input_ids']).long())
