"""A checkpoint, and what was computed with it, that were written when code stood otherwise."""
import json
from pathlib import Path

import torch

from mmc2v.registry import MODELS

# written on 2026-11-25, weights in float16
CHECKPOINT = Path(__file__).parents[1] / 'data' / 'before_towers_had_one_contract.pth'


def test_it_loads_strictly_and_gives_the_same():
    before = torch.load(CHECKPOINT)
    model = MODELS.build(json.loads(before['config'])).eval()
    model.load_state_dict({key: value.float() for key, value in before['state_dict'].items()})
    with torch.no_grad():
        video = model.encode_video(before['frames'].float(), before['frame_mask'])
        text = model.encode_text(before['tokens'])
    torch.testing.assert_close(video, before['video'], atol=1e-6, rtol=0)
    torch.testing.assert_close(text, before['text'], atol=1e-6, rtol=0)
