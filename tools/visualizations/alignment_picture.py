"""What CLIP2Video makes of a video and its caption, and the picture of it."""
import textwrap
from pathlib import Path
from typing import NamedTuple, Optional

import matplotlib
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmc2v.models.necks.frame_tokens import DifferenceTokens
from mmc2v.whole_files import open_whole

matplotlib.use('Agg')
from matplotlib import pyplot as plt
from matplotlib.axes import Axes


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
    share = alignment.assign(tokens)[0][mask[0]]
    residuals = share.T @ tokens[0][mask[0]] - share.sum(dim=0)[:, None] * alignment.emb_center
    return share, F.normalize(residuals, dim=-1)


@torch.inference_mode()
def look(model: nn.Module, inputs: dict[str, Tensor]) -> Seen:
    """Encode one video and one caption, and record what happens.

    Args:
        model (nn.Module): A :class:`CLIP2Video` in evaluation mode.
        inputs (dict[str, Tensor]): Of its data preprocessor, for one item.

    Returns:
        Seen: See there.
    """
    frames, mask = model.frame_tokens(inputs['frames'], inputs['frame_mask'])
    num_frames = int(mask.sum())
    frames, mask = frames[:, :num_frames], mask[:, :num_frames]
    video, text = model.neck(frames, mask), model.text_backbone(inputs['tokens'])
    attention = frame_share = coarse_share = word_share = agreement = None
    make_tokens = getattr(model.neck, 'token_makers', {}).get(DifferenceTokens)
    if make_tokens is not None and num_frames > 1:
        attention = record_attention(
            model.neck.transformer, *make_tokens(frames, mask))[1::2].numpy()
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


def words_of(tokens: Tensor, mask: Tensor, tokenizer,
             end_token: Optional[int]) -> tuple[list[str], list[int]]:
    """Spell the valid tokens of one caption.

    Args:
        tokens (Tensor): (1, L') token ids.
        mask (Tensor): (1, L') bool, with L valid ones.
        tokenizer: Of the config's Tokenize.
        end_token (int, optional): Spelt '(end)'.

    Returns:
        tuple[list[str], list[int]]: The W words, and for each of the L tokens the index of the
        word that it is a piece of.
    """
    decode = getattr(tokenizer, 'tokenizer', tokenizer).decode
    pieces: list[int] = []
    owners: list[int] = []
    words: list[str] = []
    for token in tokens[0][mask[0]].tolist():
        if token == end_token:
            spelt = [*decode(pieces).split(), '(end)']
        else:
            pieces.append(token)
            spelt = decode(pieces).split()
        words = spelt or ['']  # a piece of a letter may have no spelling yet
        owners.append(len(words) - 1)
    return words, owners


def mean_over_words(shares: np.ndarray, owners: list[int]) -> np.ndarray:
    """Average (L, K) shares of tokens over the pieces of each word; return (W, K)."""
    return np.stack([shares[np.equal(owners, word)].mean(axis=0)
                     for word in dict.fromkeys(owners)])


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
        words (list[str]): A name for each row of ``seen.word_share``.
        path (Path): PNG to write.
    """
    count = len(images)
    panels = ['frames']
    panels += ['attention'] if seen.attention is not None else []
    panels += ['shares', 'words'] if seen.frame_share is not None else []
    width = max(9.0, 1.05 * count, 0.55 * len(words))
    title = '\n'.join([*textwrap.wrap(f'"{caption}"', int(9 * width)),
                       f'score of this pair: {seen.score:.2f} (1 is the most)'])
    heights = {'frames': 0.8 * width / count + 0.5, 'attention': 3.2, 'shares': 2.6, 'words': 2.6}
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(width, sum(heights[panel] for panel in panels)
                                 + 0.7 + 0.2 * title.count('\n')),
        gridspec_kw=dict(height_ratios=[heights[panel] for panel in panels]),
        layout='constrained', squeeze=False)
    place = dict(zip(panels, axes[:, 0]))
    figure.suptitle(title, fontsize=11, parse_math=False)
    _draw_frames(place['frames'], images, seen)
    if seen.attention is not None:
        _draw_attention(place['attention'], seen.attention)
    if seen.frame_share is not None:
        _draw_shares(place['shares'], seen)
        rows = [f'centre {k + 1}' for k in range(seen.word_share.shape[1])]
        _heat(place['words'], seen.word_share.T, rows, 'Which words each shared centre takes (each '
              'column sums to 1; mean over the pieces of a word)')
        place['words'].set_xticks(range(len(words)), words, rotation=40, ha='right',
                                  rotation_mode='anchor', parse_math=False)
    with open_whole(path) as file:
        figure.savefig(file, format='png', dpi=100)
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
    axes.tick_params(length=0)
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
    labels = [f'{i // 2 + 1}' if i % 2 == 0 else 'diff' for i in range(2 * differences + 1)]
    axes.set_xticks(np.arange(2 * differences + 1) / 2, labels, fontsize=8)
    axes.set_ylabel('difference')


def _draw_shares(axes: Axes, seen: Seen) -> None:
    """Draw frames' shares, and beside them those of the coarse branch."""
    rows = [f'centre {k + 1} ({value:.2f})' for k, value in enumerate(seen.agreement)]
    count = len(seen.frame_share)
    shares, labels = seen.frame_share, [f'{i + 1}' for i in range(count)]
    title = ('Which frames each shared centre takes (each column sums to 1); in parentheses the '
             'cosine\nof what it gathers here and from the words')
    if seen.coarse_share is not None:
        shares = np.concatenate([shares, seen.coarse_share])
        labels += [f'{2 * i + 1}*' for i in range(len(seen.coarse_share))]
        axes.axvline(count - 0.5, color='white', linewidth=4)
        title += '; * every second frame, after the local branch'
    _heat(axes, shares.T, rows, title)
    axes.set_xticks(range(len(labels)), labels)
