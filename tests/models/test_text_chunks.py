"""Captions sorted by length and cut give what each gives alone."""
import torch

from mmc2v.models.text_chunks import caption_lengths, embed_by_length

from ..tiny import build_model


def captions(num=23, columns=20):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.zeros(num, columns, dtype=torch.int64)
    for row in range(num):
        end = int(torch.randint(2, columns, (1,), generator=generator))
        tokens[row, 1:end] = torch.randint(0, 3, (end - 1,), generator=generator)  # real zeros too
        tokens[row, 0], tokens[row, end] = 49406, 49407
    return tokens


def test_lengths_reach_to_the_end_token():
    tokens = captions()
    ends = (tokens == 49407).nonzero()[:, 1] + 1
    assert torch.equal(caption_lengths(tokens), ends)


def test_order_and_values_are_kept_and_columns_are_cut():
    tokens, model, seen = captions(), build_model().eval(), []

    def embed(chunk):
        seen.append(tuple(chunk.shape))
        return model.embed_text(chunk)
    with torch.no_grad():
        whole = torch.cat([model.embed_text(row[None]) for row in tokens])
        parts = embed_by_length(embed, tokens, chunk_size=5)
    torch.testing.assert_close(parts, whole, atol=2e-6, rtol=0)
    assert [rows for rows, _ in seen] == [5, 5, 5, 5, 3]
    widths = [columns for _, columns in seen]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1] == int(caption_lengths(tokens).max())


def test_prediction_embeds_in_chunks(monkeypatch):
    from mmaction.structures import ActionDataSample
    model, tokens = build_model().eval(), captions(300)
    inputs = dict(tokens=tokens, captions_per_video=[100, 200])
    samples = [ActionDataSample(), ActionDataSample()]
    shapes = []
    original = model.text_backbone.forward
    monkeypatch.setattr(model.text_backbone, 'forward',
                        lambda chunk: (shapes.append(chunk.shape), original(chunk))[1])
    with torch.no_grad():
        model(inputs, samples, mode='predict')
        expected = model.encode_text(tokens)
    assert [shape[0] for shape in shapes[:2]] == [256, 44]
    torch.testing.assert_close(torch.cat([s.text_embeddings for s in samples]), expected,
                               atol=2e-6, rtol=0)
    for sample in samples:
        assert sample.logit_scale == model.head.logit_scale.exp()
