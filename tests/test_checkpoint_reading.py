"""Damage of checkpoints is noticed."""
import pytest
import torch

from mmc2v.models.parts import load_pretrained


def flip(path):
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize('fault', ['a bit', 'cut off'])
def test_damage_is_noticed_where_torch_does_not(fault, tmp_path):
    path, layer = tmp_path / 'layer.pth', torch.nn.Linear(50, 50)
    torch.save(layer.state_dict(), path)
    assert load_pretrained(layer, str(path)) == {'weight', 'bias'}
    if fault == 'a bit':
        flip(path)
        assert torch.load(path)['weight'].shape == (50, 50)
    else:
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"layer\.pth' is damaged: " + (
            'the checksum of its part' if fault == 'a bit' else 'File is not a zip')):
        load_pretrained(layer, str(path))
