"""Converting authors' checkpoints: formats, prefixes, and everything that must be an error."""
import numpy as np
import pytest
import torch
from mmengine.config import Config

from ..models import golden
from ..tiny import full_disk

converter = golden.converter


@pytest.fixture
def prepared(tmp_path):
    """State of case A under the authors' names, and its config file."""
    state = {key: torch.from_numpy(value) for key, value in golden.superset('A').items()
             if key in next(iter(golden.GRAD_NORMS['A'].values()))}
    Config(dict(model=golden.model_config('A'))).dump(tmp_path / 'config.py')
    return state, tmp_path


def run(folder, source, *options):
    return converter.main([str(source), str(folder / 'ours.pth'), '--config',
                           str(folder / 'config.py'), *options])


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('name', ['pytorch_model.bin.3', 'authors.npz'])
def test_formats_and_prefixes_give_the_same_float32_weights(prefix, name, prepared):
    state, folder = prepared
    if name.endswith('npz'):
        np.savez(folder / name, **{prefix + key: value.numpy() for key, value in state.items()})
    else:
        torch.save({prefix + key: value for key, value in state.items()}, folder / name)
    assert run(folder, folder / name) == []
    ours = torch.load(folder / 'ours.pth')['state_dict']
    assert len(ours) == len(state)
    for key, value in ours.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[converter.authors_key(key)].float())


def test_missing_left_over_and_other_shapes_are_errors(prepared):
    state, folder = prepared
    del state['emb_center'], state['actionClip.resblocks.0.ln_1.bias']
    state['frame2t_projection'] = torch.zeros(128, 128)
    state['weight_center'] = torch.zeros(7, 128)
    torch.save(state, folder / 'bad.bin')
    with pytest.raises(ValueError, match='not of the variant in the config') as caught:
        run(folder, folder / 'bad.bin')
    message = str(caught.value)
    assert "2 keys that the config needs are missing" in message
    assert 'emb_center' in message
    assert "['frame2t_projection']" in message
    assert '--drop frame2t_projection' in message
    assert 'weight_center: file (7, 128), config (5, 128)' in message
    assert not (folder / 'ours.pth').exists()


def test_dropped_keys_are_listed(prepared, capsys):
    state, folder = prepared
    state['frame2t_projection'] = torch.zeros(128, 128)
    torch.save(state, folder / 'more.bin')
    assert run(folder, folder / 'more.bin', '--drop', 'frame2t_proj') == ['frame2t_projection']
    assert 'dropped frame2t_projection' in capsys.readouterr().out


def test_a_full_disk_leaves_nothing_of_a_checkpoint(prepared):
    state, folder = prepared
    torch.save(state, folder / 'all.bin')
    files = {path.name for path in folder.iterdir()}
    with full_disk(50_000), pytest.raises(OSError, match=r"ours\.pth'"):
        run(folder, folder / 'all.bin')
    assert {path.name for path in folder.iterdir()} == files


def test_a_needed_key_cannot_be_dropped(prepared):
    state, folder = prepared
    torch.save(state, folder / 'all.bin')
    assert run(folder, folder / 'all.bin', '--drop', 'actionClip') == []
    ours = torch.load(folder / 'ours.pth')['state_dict']
    assert any(key.startswith('neck.local_branch') for key in ours)


def test_code_in_a_checkpoint_is_not_run(prepared):
    _, folder = prepared

    class Hostile:
        def __reduce__(self):
            return (open, (str(folder / 'was_here'), 'w'))
    torch.save(dict(a=Hostile()), folder / 'hostile.bin')
    with pytest.raises(ValueError, match=r"hostile\.bin' holds _?io\.open, .*nothing of it was"):
        run(folder, folder / 'hostile.bin')
    np.savez(folder / 'hostile.npz', a=np.array([Hostile()], dtype=object))
    with pytest.raises(ValueError, match=r"hostile\.npz' cannot be read as arrays"):
        run(folder, folder / 'hostile.npz')
    assert not (folder / 'was_here').exists()


def test_what_is_no_checkpoint_is_refused(prepared):
    _, folder = prepared
    with pytest.raises(FileNotFoundError, match='nothing.bin'):
        run(folder, folder / 'nothing.bin')
    torch.save(torch.zeros(2), folder / 'tensor.bin')
    with pytest.raises(ValueError, match='no state dict but a Tensor'):
        run(folder, folder / 'tensor.bin')
    torch.save(dict(epoch=3, a=torch.zeros(1)), folder / 'odd.bin')
    with pytest.raises(ValueError, match=r"\['epoch'\] are not tensors"):
        run(folder, folder / 'odd.bin')
    with pytest.raises(ValueError, match='no variant of the published code has'):
        converter.authors_key('neck.something_new.weight')
