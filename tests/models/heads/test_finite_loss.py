"""A loss that is no number stops every rank before backward, by name."""
import pytest
import torch.distributed as dist
from launch.runner import leave_process_group
from mmaction.structures import ActionDataSample
from torch.nn.parallel import DistributedDataParallel

from ...processes import run_ranks
from ...tiny import batch, build_model


def samples(first=0, num=4):
    return [ActionDataSample(metainfo=dict(filename=f'{first + row}.mp4',
                                           captions=[f'caption {first + row}']))
            for row in range(num)]


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_the_video_is_named(value):
    model, inputs = build_model(), batch()
    inputs['frames'][2, 0, 0, 0, 0] = value
    with pytest.raises(FloatingPointError, match=r'not finite.*: video 2\.mp4\. ') as caught:
        model(inputs, samples(), mode='loss')
    assert '1.mp4' not in str(caught.value)
    assert 'loss_global' in str(caught.value)


def test_the_caption_is_named():
    model, inputs = build_model(), batch()
    inputs['tokens'][1, 3] = 49000
    assert not (inputs['tokens'] == 49000).sum() > 1
    model.text_backbone.token_embedding.weight.data[49000] = float('nan')
    with pytest.raises(FloatingPointError, match=r"caption \['caption 1'\]\. "):
        model(inputs, samples(), mode='loss')


def test_the_whole_batch_is_named_where_embeddings_are_finite():
    model, inputs = build_model(), batch()
    model.head.logit_scale.data.fill_(float('nan'))
    with pytest.raises(FloatingPointError, match=r'finite: 0\.mp4; 1\.mp4; 2\.mp4; 3\.mp4'):
        model(inputs, samples(), mode='loss')
    with pytest.raises(FloatingPointError, match='row 0; row 1'):
        model(inputs, mode='loss')  # without data samples


def worker(rank, world_size, folder):
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=world_size)
    model = DistributedDataParallel(build_model().train())
    inputs = batch(seed=rank)
    model(inputs, samples(10 * rank), mode='loss')
    if rank == 1:
        inputs['frames'][3] = float('nan')
    try:
        model(inputs, samples(10 * rank), mode='loss')
    except FloatingPointError as error:
        with open(f'{folder}/{rank}', 'w') as file:
            file.write(str(error))
    del model
    leave_process_group()


def test_all_ranks_stop_with_the_same_message(tmp_path):
    run_ranks(worker, 2, str(tmp_path))
    messages = [(tmp_path / str(rank)).read_text() for rank in range(2)]
    assert messages[0] == messages[1]
    assert 'video 13.mp4. ' in messages[0]
