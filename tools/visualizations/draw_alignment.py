r"""Draw what CLIP2Video looks at: differences over time, and the centres that video and text share.

    python tools/visualizations/draw_alignment.py CONFIG CHECKPOINT A.mp4 B.mp4 \
        --captions 'what A shows' 'what B shows' --out FOLDER

One PNG a video: its frames; which frames and differences each difference token attends to in the
temporal transformer; which frames and which words each centre of the alignment block takes.
"""
import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, add_cfg_options, non_blank, run


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
    from alignment_picture import draw, look, mean_over_words, words_of
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
        words, owners = words_of(inputs['tokens'], mask, tokenizer,
                                 model.text_backbone.convention.end_token)
        seen = look(model, inputs)
        if seen.word_share is not None:
            seen = seen._replace(word_share=mean_over_words(seen.word_share, owners))
        path = args.out / f'{Path(video).stem}.png'
        draw(images, seen, caption, words, path)
        print(path)


if __name__ == '__main__':
    run(main)
