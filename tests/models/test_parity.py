"""The model gives the numbers of the authors' code, for every variant, outputs and gradients.

MMC2V_GOLDEN names another folder of the same format.
"""
import numpy as np
import pytest
import torch

from mmc2v.models.necks.frame_tokens import DifferenceTokens

from . import golden

# Which mask tells the valid positions of an output that has one row a token.
TOKEN_MASKS = {
    'out/frame_emb': 'in/video_mask', 'out/temporal_out': 'in/video_mask',
    'out/text_hidden': 'in/text_mask', 'out/tdb_tokens': 'out/tdb_mask',
    'out/tab_video_assign': 'out/tab_video_mask', 'out/tab_text_assign': 'out/tab_text_mask',
}


def rule_in_force(case):
    stored = golden.arrays(f'case_{case}')
    for rule in ('strict', 'per_video'):
        if any(key.endswith(f'@{rule}') for key in stored):
            return rule
    return 'official'


def reference(case):
    """What is stored for the rule in force, keys without the rule's suffix."""
    stored, rule = golden.arrays(f'case_{case}'), rule_in_force(case)
    chosen = {}
    for key in stored:
        if '@' in key or key.split('/')[0] not in ('out', 'grad', 'f64'):
            continue
        if rule == 'official' or f'{key}@{rule}' in stored:
            chosen[key] = stored.get(f'{key}@{rule}', stored[key])
        elif rule == 'strict' and key == 'out/tdb_tokens':
            chosen[key] = stored.get(f'{key}@per_video', stored[key])
        elif rule == 'per_video' or not key.startswith('grad/'):
            chosen[key] = stored[key]  # the same under both rules
    return chosen


def valid_positions(case, key, chosen):
    """(rows..., tokens) mask of what is compared, or None for everything."""
    stored = golden.arrays(f'case_{case}')
    if key == 'out/tab_video_tokens':
        num_frames = stored['in/video_mask'].shape[1]
        return chosen['out/tab_video_mask'][:, num_frames:].astype(bool)
    mask = TOKEN_MASKS.get(key)
    return None if mask is None else chosen.get(mask, stored.get(mask)).astype(bool)


def agrees(key, ours, theirs, valid=None):
    """Whether two arrays are equal to the tolerance of their kind."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if valid is not None:
        ours, theirs = ours[valid], theirs[valid]
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        return False
    tolerance = {'out': 2e-5, 'grad': 1e-4, 'f64': 1e-9}[key.split('/')[0]]
    if theirs.dtype.kind != 'f':  # masks
        return np.array_equal(ours, theirs)
    return bool(np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max())


@torch.no_grad()
def run_outputs(model, case):
    """Every output that the authors' code has, under its name there."""
    model.eval()
    batch = golden.inputs(case)
    frames, _ = model.backbone(batch['frames'], batch['frame_mask'])
    text, video = model.text_backbone(batch['tokens']), model.neck(frames, batch['frame_mask'])
    head, num_frames = model.head, frames.shape[1]
    text_embedding, video_embedding = head.embed_text(text), head.embed_video(video)
    # through the public calls: one unit vector an item, scored by one product
    flat_video = model.encode_video(batch['frames'], batch['frame_mask'])
    scale = head.logit_scale.exp()
    out = {'frame_emb': frames, 'text_eot': text.sentence, 'text_hidden': text.words,
           'video_global': video_embedding[:, 0], 'text_global': text_embedding[:, 0],
           'sim_global': head.logits(text_embedding, video_embedding)[0],
           'inference_logits': scale * model.encode_text(batch['tokens']) @ flat_video.T,
           'inference_logits_4xB': scale * model.encode_text(batch['tokens'][:4]) @ flat_video.T,
           'temporal_out': video.frames}
    maker = getattr(model.neck, 'token_makers', {}).get(DifferenceTokens)
    if maker is not None:
        tokens, mask = maker.interleave(frames, batch['frame_mask'])
        added = maker.positions_and_types(num_frames)
        out.update(tdb_tokens=tokens, tdb_mask=mask, tdb_position=added[0], tdb_type=added[1])
    if head.alignment is not None:
        out.update(
            tab_video_tokens=video.local[:, num_frames:], tab_video_mask=video.local_mask,
            tab_text_mask=text.word_mask, tab_video_assign=head.alignment.assign(video.local),
            tab_text_assign=head.alignment.assign(text.words),
            tab_video=video_embedding[:, 1], tab_text=text_embedding[:, 1],
            sim_tab=head.logits(text_embedding, video_embedding)[1])
    return {f'out/{key}': value.numpy() for key, value in out.items()}


def run_training(model, case, dtype):
    """Losses and gradients through mode 'loss', under the authors' names."""
    model.train()
    model.zero_grad()
    losses = model(golden.inputs(case, dtype), mode='loss')
    parts = {kind: losses[f'loss_{kind}'] for kind in model.head.kinds}
    total = sum(parts.values())
    total.backward()
    out = {'out/loss_total': total}
    for kind, weight in zip(model.head.kinds, model.head.weights):
        name = {'global': 'loss_global', 'aligned': 'loss_tab'}[kind]
        out[f'out/{name}'] = parts[kind] / weight
    gradients = {golden.converter.authors_key(name): parameter.grad
                 for name, parameter in model.named_parameters()}
    return {key: value.detach().numpy() for key, value in out.items()}, gradients


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Everything computed for a case, once."""
    done = {}

    def run(case):
        if case not in done:
            model = golden.build_through_converter(case, tmp_path_factory.mktemp(case))
            ours = run_outputs(model, case)
            losses, gradients = run_training(model, case, torch.float32)
            ours.update(losses)
            ours.update({f'grad/{key}': value.numpy() for key, value in gradients.items()
                         if value is not None})
            model.double()
            losses, gradients = run_training(model, case, torch.float64)
            batch = golden.inputs(case, torch.float64)
            with torch.no_grad():
                logits = (model.head.logit_scale.exp() * model.encode_text(batch['tokens'])
                          @ model.encode_video(batch['frames'], batch['frame_mask']).T)
            ours.update({'f64/loss_total': losses['out/loss_total'],
                         'f64/inference_logits': logits.numpy()})
            norms = {key: None if value is None else float(value.norm())
                     for key, value in gradients.items()}
            done[case] = ours, norms
        return done[case]
    return run


def cut_to(ours, theirs):
    """Large gradients are stored by their first rows."""
    return ours[:len(theirs)] if ours.ndim and ours.shape[1:] == theirs.shape[1:] else ours


@pytest.mark.parametrize('case', golden.CASES)
def test_parity_of_outputs_and_gradients(case, runs):
    chosen, (ours, _) = reference(case), runs(case)
    compared, wrong = set(), {}
    for key, theirs in chosen.items():
        assert key in ours, f'the model has no output for {key}'
        mine = cut_to(ours[key], theirs) if key.startswith('grad/') else ours[key]
        compared.add(key)
        if not agrees(key, mine, theirs, valid_positions(case, key, chosen)):
            wrong[key] = float(np.abs(mine - theirs).max())
    assert not wrong
    suffix = {'strict': '@strict', 'per_video': '@per_video', 'official': ''}[rule_in_force(case)]
    stored = golden.arrays(f'case_{case}')
    in_force = {key.removesuffix(suffix) for key in stored if key.endswith(suffix)
                and key.startswith(('out/', 'grad/', 'f64/')) and (suffix or '@' not in key)}
    same_under_all = {key for key in stored if key.startswith(('out/', 'f64/')) and '@' not in key}
    same_under_all |= {key for key in stored if key.startswith('grad/') and '@' not in key
                       and rule_in_force(case) != 'strict'}
    assert compared == in_force | same_under_all


@pytest.mark.parametrize('case', golden.CASES)
def test_parity_of_gradient_norms(case, runs):
    theirs, (_, ours) = golden.GRAD_NORMS[case][rule_in_force(case)], runs(case)
    assert {key for key, norm in theirs.items() if norm is not None} == {
        key for key, norm in ours.items() if norm is not None}
    for key, norm in theirs.items():
        if norm is not None:
            assert ours[key] == pytest.approx(norm, rel=1e-4), key


@pytest.mark.parametrize('case', golden.CASES)
def test_parity_comparison_sees_one_percent(case, runs):
    """Spoiling any stored array by 1 % of its largest value is noticed."""
    chosen, (ours, norms) = reference(case), runs(case)
    for key, theirs in chosen.items():
        mine = cut_to(ours[key], theirs) if key.startswith('grad/') else ours[key]
        valid = valid_positions(case, key, chosen)
        spoiled = np.array(theirs)
        if theirs.dtype.kind != 'f':
            spoiled.flat[0] = not spoiled.flat[0]
        else:
            weight = np.abs(theirs) if valid is None else np.abs(theirs) * valid[..., None]
            place = np.unravel_index(weight.argmax(), theirs.shape)
            spoiled[place] *= 1.01
        assert not agrees(key, mine, spoiled, valid), key
    for key, norm in golden.GRAD_NORMS[case][rule_in_force(case)].items():
        if norm:
            assert norms[key] != pytest.approx(norm * 1.01, rel=1e-4), key
