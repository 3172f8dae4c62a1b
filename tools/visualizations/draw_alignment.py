r"""Draw what CLIP2Video looks at: differences over time, and the centres that video and text share.

    python tools/visualizations/draw_alignment.py CONFIG CHECKPOINT A.mp4 B.mp4 \
        --captions 'what A shows' 'what B shows' --out FOLDER

One PNG a video: its frames; which frames and differences each difference token attends to in the
temporal transformer; which frames and which words each centre of the alignment block takes.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Optional

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, add_cfg_options, non_blank, run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor, nn


class Seen(NamedTuple):
    """What a model makes of one video and its caption; T valid frames, L words, K centres.

    Attributes:
        attention (np.ndarray, optional): (T-1, 2T-1) attention of difference tokens to frame,
            difference, frame, ..., mean over heads and layers; each row sums to 1. None without
            TDB.
        frame_share (np.ndarray, optional): (T, K) share of each frame that each centre takes.
            None without TAB.
        coarse_share (np.ndarray, optional): (ceil(T/2), K) likewise of every second frame after
            the local branch. None without one.
        word_share (np.ndarray, optional): (L, K) likewise of words.
        agreement (np.ndarray, optional): (K,) cosine of what each centre gathers of the video and
            of the text.
        score (float): Of the pair, in [-1, 1].
    """

    attention: Optional[np.ndarray]
    frame_share: Optional[np.ndarray]
    coarse_share: Optional[np.ndarray]
    word_share: Optional[np.ndarray]
    agreement: Optional[np.ndarray]
    score: float


def record_attention(transformer: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """Run a temporal transformer; return (S, S) attention of one sequence, mean over layers."""
    import torch
    from torch import nn

    weights = []

    def capture(attention: nn.Module, inputs: tuple, options: dict) -> None:
        options = dict(options, need_weights=True)
        weights.append(nn.MultiheadAttention.forward(attention, *inputs, **options)[1])

    hooks = [block.attn.register_forward_pre_hook(capture, with_kwargs=True)
             for block in transformer.resblocks]
    try:
        transformer(tokens, mask)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(weights).mean(dim=0)[0]


def gather(alignment: nn.Module, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return (S, K) shares of valid tokens and (K, D) unit residuals of one item."""
    from torch.nn import functional as F

    share = alignment.assign(tokens)[0][mask[0]]
    residuals = share.T @ tokens[0][mask[0]] - share.sum(dim=0)[:, None] * alignment.emb_center
    return share, F.normalize(residuals, dim=-1)


def look(model: nn.Module, inputs: dict[str, Tensor]) -> Seen:
    """Encode one video and one caption, and record what happens.

    Args:
        model (nn.Module): A :class:`CLIP2Video` in evaluation mode.
        inputs (dict[str, Tensor]): Of its data preprocessor, for one item.

    Returns:
        Seen: See there.
    """
    import torch

    with torch.inference_mode():
        return _look(model, inputs)


def _look(model: nn.Module, inputs: dict[str, Tensor]) -> Seen:
    frames, mask = model.encode_frames(inputs['frames'], inputs['frame_mask'])
    num_frames = int(mask.sum())
    frames, mask = frames[:, :num_frames], mask[:, :num_frames]
    video, text = model.neck(frames, mask), model.text_backbone(inputs['tokens'])
    attention = frame_share = coarse_share = word_share = agreement = None
    if getattr(model.neck, 'has_differences', False) and num_frames > 1:
        attention = record_attention(
            model.neck.transformer, *model.neck.embed_interleaved(frames, mask))[1::2].numpy()
    if model.head.alignment is not None:
        share, of_video = gather(model.head.alignment, video.local, video.local_mask)
        frame_share, coarse_share = share[:num_frames].numpy(), share[num_frames:].numpy()
        share, of_text = gather(model.head.alignment, text.words, text.word_mask)
        word_share, agreement = share.numpy(), (of_video * of_text).sum(dim=-1).numpy()
    score = float(model.head.flatten(model.head.embed_video(video))[0]
                  @ model.head.flatten(model.head.embed_text(text))[0])
    if coarse_share is not None and not len(coarse_share):
        coarse_share = None
    return Seen(attention, frame_share, coarse_share, word_share, agreement, score)


def words_of(tokens: Tensor, mask: Tensor, tokenizer, end_token: Optional[int]) -> list[str]:
    """Spell the valid tokens of one caption; the end token is '(end)'."""
    decode = getattr(tokenizer, 'tokenizer', tokenizer).decode
    return ['(end)' if token == end_token else decode([token]).strip()
            for token in tokens[0][mask[0]].tolist()]


def _heat(axes: Axes, values: np.ndarray, rows: list[str], title: str,
          extent: Optional[tuple] = None) -> None:
    """Draw a matrix whose rows are named, on a scale from 0 to its largest value."""
    image = axes.imshow(values, aspect='auto', cmap='viridis', vmin=0, extent=extent,
                        interpolation='nearest')
    height = len(rows)
    axes.set_yticks(np.arange(height) if extent is None else np.arange(height)[::-1] + 0.5, rows)
    axes.set_title(title, loc='left', fontsize=10)
    axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03)


def draw(images: np.ndarray, seen: Seen, caption: str, words: list[str], path: Path) -> None:
    """Draw one picture.

    Args:
        images (np.ndarray): (T, H, W, 3) uint8 frames as the model sees them.
        seen (Seen): What was recorded.
        caption (str): The caption.
        words (list[str]): Its L tokens.
        path (Path): PNG to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    count = len(images)
    panels = ['frames']
    panels += ['attention'] if seen.attention is not None else []
    panels += ['shares', 'words'] if seen.frame_share is not None else []
    width = max(9.0, 1.05 * count, 0.55 * len(words))
    heights = {'frames': 0.7 * width / count + 0.7, 'attention': 3.2, 'shares': 2.6, 'words': 2.6}
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(width, sum(heights[panel] for panel in panels) + 1.2),
        gridspec_kw=dict(height_ratios=[heights[panel] for panel in panels]),
        layout='constrained', squeeze=False)
    place = dict(zip(panels, axes[:, 0]))
    figure.suptitle(f'"{caption}"\nscore of this pair: {seen.score:.2f} (1 is the most)',
                    fontsize=11)
    _draw_frames(place['frames'], images, seen)
    if seen.attention is not None:
        _draw_attention(place['attention'], seen.attention)
    if seen.frame_share is not None:
        _draw_shares(place['shares'], seen)
        rows = [f'centre {k + 1}' for k in range(seen.word_share.shape[1])]
        _heat(place['words'], seen.word_share.T, rows,
              'Which words each shared centre takes (each column sums to 1)')
        place['words'].set_xticks(range(len(words)), words, rotation=40, ha='right')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw_frames(axes: Axes, images: np.ndarray, seen: Seen) -> None:
    height, width = images.shape[1:3]
    for index, image in enumerate(images):
        axes.imshow(image, extent=(index - 0.46, index + 0.46, -0.46 * height / width,
                                   0.46 * height / width))
    axes.set_xlim(-0.5, len(images) - 0.5)
    axes.set_ylim(-0.5 * height / width, 0.5 * height / width)
    axes.set_yticks([])
    axes.set_xticks(range(len(images)), [f'frame {i + 1}' for i in range(len(images))])
    steps = len(images) if seen.attention is None else len(seen.attention) + 1
    axes.set_title('What the model sees, in order of time' + (
        '' if steps == len(images) else
        f'; below, its {steps} time steps have the numbers, each of several frames'),
        loc='left', fontsize=10)
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_attention(axes: Axes, attention: np.ndarray) -> None:
    differences = len(attention)
    rows = [f'{i + 1} → {i + 2}' for i in range(differences)]
    _heat(axes, attention, rows,
          'What each difference attends to: frames (by number) and differences between them\n'
          '(each row sums to 1; mean over heads and layers)',
          extent=(-0.25, differences + 0.25, 0, differences))
    axes.set_xlim(-0.5, differences + 0.5)  # frames stand under their pictures
    labels = [f'{i // 2 + 1}' if i % 2 == 0 else 'diff' for i in range(2 * differences + 1)]
    axes.set_xticks(np.arange(2 * differences + 1) / 2, labels, fontsize=8)
    axes.set_ylabel('difference')


def _draw_shares(axes: Axes, seen: Seen) -> None:
    """Draw frames' shares, and beside them those of the coarse branch."""
    rows = [f'centre {k + 1}, agreement {value:.2f}' for k, value in enumerate(seen.agreement)]
    count = len(seen.frame_share)
    shares, labels = seen.frame_share, [f'{i + 1}' for i in range(count)]
    title = ('Which frames each shared centre takes (each column sums to 1); agreement: cosine of '
             'what it\ngathers here and from the words')
    if seen.coarse_share is not None:
        gap = np.full((1, shares.shape[1]), np.nan)
        shares = np.concatenate([shares, gap, seen.coarse_share])
        labels += ['', *(f'{2 * i + 1}*' for i in range(len(seen.coarse_share)))]
        title += '; * every second frame, mixed with differences'
    _heat(axes, shares.T, rows, title)
    axes.set_xticks(range(len(labels)), labels)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help="checkpoint of the config's model; - with --random")
    parser.add_argument('videos', nargs='+', help='video files')
    parser.add_argument('--captions', type=non_blank, nargs='+', required=True, help='one a video')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/alignment'),
                        help='folder of the pictures; default work_dirs/alignment')
    add_cfg_options(parser)
    parser.add_argument('--random', action='store_true',
                        help="random weights in the place of the checkpoint's ('-'), to try it")
    args = parser.parse_args()
    if len(args.captions) != len(args.videos):
        parser.error(f'{len(args.videos)} videos need as many captions, got {len(args.captions)}')
    return args


def main() -> None:
    """Draw every video."""
    args = parse_args()
    import torch
    from mmengine.dataset import Compose, pseudo_collate
    from mmengine.registry import init_default_scope

    from mmc2v.apis import init_model
    from mmc2v.config_reading import read_config
    from mmc2v.registry import MODELS

    config = read_config(args.config, args.cfg_options, ['model', 'test_dataloader'])
    init_default_scope(config.get('default_scope', 'mmaction'))
    if args.random:
        torch.manual_seed(0)
        model = MODELS.build(config.model).eval()
    else:
        model = init_model(config, args.checkpoint)
    pipeline = Compose(config.test_dataloader.dataset.pipeline)
    tokenizer = next(step.tokenizer for step in pipeline.transforms if hasattr(step, 'tokenizer'))
    for video, caption in zip(args.videos, args.captions):
        item = pipeline(dict(filename=video, video_id=video, captions=[caption]))
        inputs = model.data_preprocessor(pseudo_collate([item]))['inputs']
        valid = item['inputs']['frame_mask']
        images = item['inputs']['frames'][valid].permute(0, 2, 3, 1).numpy()
        mask = model.text_backbone(inputs['tokens']).word_mask
        path = args.out / f'{Path(video).stem}.png'
        draw(images, look(model, inputs), caption, words_of(
            inputs['tokens'], mask, tokenizer, model.text_backbone.convention.end_token), path)
        print(path)


if __name__ == '__main__':
    run(main)
