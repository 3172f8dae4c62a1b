"""Draw captions with the videos that a model finds for them, from a dump of embeddings.

    python tools/test.py CONFIG CHECKPOINT --dump dump.npz
    python tools/visualizations/draw_retrieval.py dump.npz CONFIG --out retrieval.png

The frames are read through the test set of the config. tools/test.py --show-dir draws the same.
"""
import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from command_line import Parser, add_cfg_options, positive_int, run


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(__doc__)
    parser.add_argument('dump', type=Path, help='file of tools/test.py --dump')
    parser.add_argument('config', help='config file whose test set was embedded')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/retrieval.png'),
                        help='PNG to write; default work_dirs/retrieval.png')
    parser.add_argument('--num-queries', type=positive_int, default=6,
                        help='captions drawn, spread over the test set; default 6')
    parser.add_argument('--top-k', type=positive_int, default=5,
                        help='videos drawn for each; default 5')
    parser.add_argument('--frame-size', type=positive_int, default=72,
                        help='side of a frame in pixels; default 72')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Draw one picture."""
    args = parse_args()
    from mmengine.registry import init_default_scope
    from visualizations.retrieval_picture import draw_queries

    from mmc2v.config_reading import read_config
    from mmc2v.evaluation import RetrievalEmbeddings
    from mmc2v.registry import DATASETS

    embeddings = RetrievalEmbeddings.load(args.dump)
    config = read_config(args.config, args.cfg_options, ['test_dataloader'])
    init_default_scope(config.get('default_scope', 'mmaction'))
    draw_queries(embeddings, DATASETS.build(config.test_dataloader.dataset), args.out,
                 args.num_queries, args.top_k, args.frame_size)
    print(args.out)


if __name__ == '__main__':
    run(main)
