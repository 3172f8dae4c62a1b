"""Weights in a TorchScript archive are what torch.jit.load gives, without the program."""
import torch
from torch import nn

from mmc2v.models.clip.torchscript import read_torchscript


class Attributes(nn.Module):
    """Attributes of every kind that may stand beside weights."""

    def __init__(self):
        super().__init__()
        self.whole, self.real, self.table, self.pair = [1, 2], [0.5], {'a': 1}, (1, 'x')
        self.tensors = [torch.ones(2)]
        self.blocks = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.register_buffer('part', torch.arange(12.).view(3, 4).t()[1:])  # strided, with offset

    def forward(self, inputs):
        return self.blocks(inputs) * self.whole[0] * self.real[0] * self.table['a'] * self.pair[0] \
            + self.tensors[0] + self.part.sum()


def test_tensors_are_those_of_the_state_dict(tmp_path):
    module = Attributes().eval()
    for program in (torch.jit.script(module), torch.jit.trace(module, torch.ones(1, 2)).half()):
        program.save(tmp_path / 'a.pt')
        expected, found = program.state_dict(), read_torchscript(tmp_path / 'a.pt')
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert torch.equal(found[name], value), name
            assert found[name].dtype == value.dtype
