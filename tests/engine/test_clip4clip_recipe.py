"""CLIP4Clip's recipe against a naive one, which is written from its published formulas."""
import copy
import math
import os
from itertools import pairwise

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch import nn

from mmc2v.engine import BertAdam, CLIP4ClipCosineLR
from mmc2v.registry import MODELS

from ..models import golden
from ..tiny import ROOT, batch, model_config, run_config, write_dataset

RECIPE = ROOT / 'configs' / '_base_' / 'schedule_clip4clip.py'
WARMUP, PEAK, COEFFICIENT, DECAY = 0.1, 1e-4, 1e-3, 0.2


def published_factor(step, steps):
    progress = step / steps
    return progress / WARMUP if progress < WARMUP else 0.5 * (1 + math.cos(math.pi * progress))


def published_settings(name):
    """Rate at the peak, and decay, by the name that the authors' code gives a parameter."""
    without = any(part in name for part in ('bias', 'LayerNorm.bias', 'LayerNorm.weight'))
    return PEAK * (COEFFICIENT if 'clip.' in name else 1), 0.0 if without else DECAY


def is_frozen(name):
    """By freeze_layer_num=0: all of CLIP but blocks, last norms, projections and scale."""
    trained = ('ln_final.', 'text_projection', 'logit_scale', 'visual.ln_post.', 'visual.proj',
               'visual.transformer.resblocks.', 'transformer.resblocks.')
    return name.startswith('clip.') and not name.removeprefix('clip.').startswith(trained)


def frozen_towers(config):
    for tower in ('backbone', 'text_backbone'):
        config[tower]['freeze_layer_num'] = 0
    return config


def tiny_model():
    """Both towers, TDB and TAB, with CLIP's embeddings frozen."""
    torch.manual_seed(0)
    return MODELS.build(frozen_towers(model_config()))


def recipe(model, steps, **optimizer):
    """The config's optimizer and schedule for so many steps, in float32 throughout."""
    config = Config.fromfile(RECIPE)
    config.optim_wrapper.type = 'OptimWrapper'
    config.optim_wrapper.optimizer.update(optimizer)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    scheduler, = config.param_scheduler
    return wrapper, PARAM_SCHEDULERS.build(dict(scheduler, optimizer=wrapper, end=steps))


@pytest.mark.parametrize('steps', [30, 97])  # 0.1 * 30 > 3, and 3 / 30 is 0.1
def test_rate_and_decay_of_every_parameter_at_ten_moments(steps):
    model = tiny_model()
    wrapper, scheduler = recipe(model, steps)
    moments = {0, 1, steps // 10 - 1, steps // 10, steps // 10 + 1, steps // 4, steps // 3,
               steps // 2, steps - 2, steps - 1}
    assert len(moments) == 10
    for step in range(steps):
        wrapper.step()  # without gradients
        if step in moments:
            found = {id(parameter): (group['lr'], group['weight_decay'])
                     for group in wrapper.param_groups for parameter in group['params']}
            for name, parameter in model.named_parameters():
                authors_name = golden.converter.authors_key(name)
                assert parameter.requires_grad != is_frozen(authors_name), name
                if is_frozen(authors_name):
                    assert id(parameter) not in found
                    continue
                peak, decay = published_settings(authors_name)
                assert found[id(parameter)] == (
                    pytest.approx(peak * published_factor(step, steps), rel=1e-9, abs=1e-18),
                    decay), (step, name)
        scheduler.step()


def test_what_decays_here_and_not_in_our_own_recipe():
    """Norms, the scale of logits, and nothing else."""
    model = tiny_model()
    wrapper, _ = recipe(model, 10)
    decayed = {id(parameter) for group in wrapper.param_groups if group['weight_decay']
               for parameter in group['params']}
    names = {name.split('.')[-2] for name, parameter in model.named_parameters()
             if id(parameter) in decayed and parameter.ndim <= 1}
    assert names == {'ln_1', 'ln_2', 'ln_post', 'ln_final', 'norm', 'head'}


def test_the_rates_are_those_that_a_user_of_their_code_logged():
    """Of 7,030 steps, step 50: 'Lr: 0.000000007-0.000007112', github.com/ArrowLuo/CLIP4Clip #25."""
    optimizer = BertAdam([nn.Parameter(torch.zeros(1))], lr=1e-4)
    scheduler = CLIP4ClipCosineLR(optimizer, end=7030, by_epoch=False)
    found = [optimizer.param_groups[0]['lr']]
    for _ in range(7029):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]['lr'])
    assert f'{found[50]:.9f}' == '0.000007112'
    assert found[0] == 0
    assert found[702] == pytest.approx(0.9986e-4, abs=1e-8)
    assert found[703] == pytest.approx(0.9755e-4, abs=1e-8)  # the cosine began with training
    assert 0 < found[-1] < 1e-10


def test_a_warm_up_may_be_a_number_of_iterations():
    optimizer = BertAdam([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = CLIP4ClipCosineLR(optimizer, warmup=4, end=8, by_epoch=False)
    found = [optimizer.param_groups[0]['lr']]
    for _ in range(4):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]['lr'])
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 0.5])


class NaiveRecipe:
    """One parameter after the other, as the published formulas say."""

    def __init__(self, model, steps, peak):
        self.steps, self.step_number, self.model = steps, 0, model
        self.scale = peak / PEAK
        self.moments = {}

    def step(self):
        """Clip, update, and bound logit_scale; return the norm before clipping."""
        trained = [(name, parameter) for name, parameter in self.model.named_parameters()
                   if parameter.grad is not None]
        total = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for _, p in trained))
        for name, parameter in trained:
            gradient = parameter.grad.double() * min(1.0, 1.0 / (total + 1e-6))
            gradient *= min(1.0, 1.0 / (float(gradient.norm()) + 1e-6))
            m, v = self.moments.get(name, (torch.zeros_like(gradient),) * 2)
            m = 0.9 * m + 0.1 * gradient
            v = 0.98 * v + 0.02 * gradient ** 2
            self.moments[name] = m, v
            rate, decay = published_settings(golden.converter.authors_key(name))
            rate *= self.scale * published_factor(self.step_number, self.steps)
            update = m / (v.sqrt() + 1e-6) + decay * parameter.data.double()
            parameter.data.copy_(parameter.data.double() - rate * update)
        self.step_number += 1
        self.model.head.logit_scale.data.clamp_(max=math.log(100))
        self.model.zero_grad()
        return total


def loss_of(model, step):
    losses = model.loss(batch(num=6, seed=step))
    return 5 * (losses['loss_global'] + losses['loss_aligned'])


def difference(model, other):
    """The largest difference of each parameter."""
    others = dict(other.named_parameters())
    return {name: float((parameter - others[name]).abs().max().detach())
            for name, parameter in model.named_parameters()}


def test_updates_are_those_of_the_formulas():
    """At a hundred times the rate, so that steps are far above what float32 rounds."""
    steps, peak = 12, 1e-2
    start = tiny_model()
    start.head.logit_scale.data.fill_(math.log(100) - 1e-6)  # its bound is reached
    ours, theirs = copy.deepcopy(start).train(), copy.deepcopy(start).train()
    wrapper, scheduler = recipe(ours, steps, lr=peak)
    naive, norms = NaiveRecipe(theirs, steps, peak), []
    for step in range(steps):
        wrapper.update_params(loss_of(ours, step))
        scheduler.step()
        loss_of(theirs, step).backward()
        norms.append(naive.step())
        if step == 0:  # whose rate is zero
            assert max(difference(ours, start).values()) == 0
    assert max(norms) > 1  # the norm of all gradients was clipped
    moved = difference(theirs, start)
    for name, value in difference(ours, theirs).items():
        if name == 'head.logit_scale':  # bounded here when it is next used, there after the step
            continue
        trained = not is_frozen(golden.converter.authors_key(name))
        assert (moved[name] > 0) == trained, name
        assert value <= 1e-2 * moved[name], (name, value, moved[name])
    loss_of(ours, 0), loss_of(theirs, 0)
    torch.testing.assert_close(ours.head.logit_scale, theirs.head.logit_scale)


def parameters_of(shapes):
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in shapes]


def trained(optimizer, parameters, gradients):
    for step in gradients:
        for parameter, gradient in zip(parameters, step):
            parameter.grad = None if gradient is None else gradient.clone()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


SHAPES = [(3, 4), (5,), ()]
GRADIENTS = [[torch.randn(shape, generator=torch.Generator().manual_seed(step)) * scale
              for shape, scale in zip(SHAPES, (4.0, 0.1, 0.1))] for step in range(4)]


def test_each_gradient_is_clipped_by_itself_and_one_without_stays():
    gradients = [[*step[:2], None] for step in GRADIENTS]
    parameters = parameters_of(SHAPES)
    expected = [parameter.detach().clone() for parameter in parameters]
    found = trained(BertAdam(parameters, lr=0.1, weight_decay=0.2), parameters, gradients)
    for index in range(2):
        m = v = torch.zeros(SHAPES[index])
        for step in gradients:
            gradient = step[index] / max(1.0, float(step[index].norm()))
            m, v = 0.9 * m + 0.1 * gradient, 0.98 * v + 0.02 * gradient ** 2
            expected[index] = expected[index] - 0.1 * (
                m / (v.sqrt() + 1e-6) + 0.2 * expected[index])
    for value, other in zip(found, expected):
        torch.testing.assert_close(value, other, atol=1e-5, rtol=1e-5)
    assert float(gradients[0][0].norm()) > 1 > float(gradients[0][1].norm())


def test_after_the_total_clip_each_clips_nothing_more():
    results = []
    for max_grad_norm in (1.0, 0.0):
        parameters, clipped = parameters_of(SHAPES), []
        for step in GRADIENTS:
            norm = torch.stack([gradient.norm() for gradient in step]).norm()
            clipped.append([gradient / max(1.0, float(norm)) for gradient in step])
        optimizer = BertAdam(parameters, lr=0.1, max_grad_norm=max_grad_norm)
        results.append(trained(optimizer, parameters, clipped))
    for value, other in zip(*results):
        torch.testing.assert_close(value, other, atol=1e-5, rtol=1e-5)


def test_a_gradient_divided_by_ranks_is_one_of_other_bounds():
    """Theirs is divided by the number of GPUs; bounds and eps times that number are the same."""
    ranks, results = 4, []
    for divisor, factor in ((ranks, 1), (1, ranks)):
        parameters = parameters_of(SHAPES)
        optimizer = BertAdam(parameters, lr=0.1, weight_decay=0.2, eps=1e-6 * factor,
                             max_grad_norm=1.0 * factor)
        results.append(trained(optimizer, parameters, [[gradient / divisor for gradient in step]
                                                       for step in GRADIENTS]))
    for value, other in zip(*results):
        torch.testing.assert_close(value, other, atol=1e-5, rtol=1e-5)


def test_the_first_updates_are_not_those_of_adamw():
    """By equal gradients."""
    found = []
    for kind in (BertAdam, torch.optim.AdamW):
        parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimizer, values = kind([parameter], lr=1.0, betas=(0.9, 0.98), eps=1e-12,
                                 weight_decay=0.0), [0.0]
        for _ in range(200):
            parameter.grad = torch.full_like(parameter, 0.5)
            optimizer.step()
            values.append(float(parameter.detach()))
        found.append([after - before for before, after in pairwise(values)])
    ratio = [ours / theirs for ours, theirs in zip(*found)]
    assert [round(ratio[step - 1], 2) for step in (1, 14, 200)] == [0.71, 1.55, 1.01]
    assert max(ratio) == ratio[13]


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(lr=-1), 'lr must be at least 0, got -1'), (dict(eps=float('nan')), 'eps .* got nan'),
    (dict(betas=(0.9, 1.0)), r'betas must lie in \[0, 1\), got \(0.9, 1.0\)')])
def test_numbers_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BertAdam(parameters_of(SHAPES), **{**dict(lr=1e-4), **settings})


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'data'
    write_dataset(folder, num_videos=9)
    return folder


def train(data, work_dir, epochs, **options):
    """Train a tiny model by the config as it is; return the rates and the last weights."""
    config = run_config(data, work_dir, epochs=epochs, log_level='WARNING', val_cfg=None,
                        val_dataloader=None, val_evaluator=None,
                        experiment_name=os.urandom(4).hex(), **options)
    config.default_hooks.checkpoint.update(save_best=None, max_keep_ckpts=-1)
    published = Config.fromfile(RECIPE)
    config.optim_wrapper, config.param_scheduler = (
        published.optim_wrapper, published.param_scheduler)
    config.optim_wrapper.optimizer.lr = 1e-2
    config.model = frozen_towers(model_config())
    runner, rates = Runner.from_cfg(config), []
    step = runner.model.train_step

    def watched(*args, **kwargs):
        rates.append(runner.optim_wrapper.param_groups[-1]['lr'])
        return step(*args, **kwargs)
    runner.model.train_step = watched
    runner.train()
    return rates, torch.load(work_dir / f'epoch_{epochs}.pth')


def test_a_run_resumes_exactly(data, tmp_path):
    """18 captions: six batches of three an epoch."""
    rates, whole = train(data, tmp_path / 'whole', 2)
    assert rates == pytest.approx([1e-2 * published_factor(step, 12) for step in range(12)])
    resumed, parts = train(data, tmp_path / 'parts', 2, resume=True,
                           load_from=str(tmp_path / 'whole' / 'epoch_1.pth'))
    assert resumed == rates[6:]
    for key, value in whole['state_dict'].items():
        assert torch.equal(value, parts['state_dict'][key]), key
    first = torch.load(tmp_path / 'whole' / 'epoch_1.pth')['state_dict']
    still = [key for key, value in whole['state_dict'].items() if torch.equal(value, first[key])]
    assert {key for key in still if 'head' not in key} == {
        key for key in still if is_frozen(golden.converter.authors_key(key))}
    states = [checkpoint['optimizer']['state'] for checkpoint in (whole, parts)]
    assert all(torch.equal(state[key], states[1][index][key])
               for index, state in states[0].items() for key in ('exp_avg', 'exp_avg_sq'))
