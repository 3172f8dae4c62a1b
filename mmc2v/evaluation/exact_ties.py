"""Ties of items with equal embeddings, kept exact whatever the rounding of products."""
import numpy as np


def _repeated_rows(embeddings: np.ndarray) -> list[list[int]]:
    """Return the indices of rows of (N, D) that are equal in every bit, two or more each."""
    if len(embeddings) == 0:
        return []
    # Rows that differ at all nearly always differ in their first bytes: only those that do not
    # are compared whole, so that nothing as large as the embeddings is copied.
    width = min(embeddings.shape[1], 16 // embeddings.itemsize)
    beginnings = np.ascontiguousarray(embeddings[:, :width])
    keys = beginnings.view(np.dtype((np.void, beginnings.shape[1] * beginnings.itemsize)))
    _, inverse, counts = np.unique(keys.ravel(), return_inverse=True, return_counts=True)
    by_content: dict[bytes, list[int]] = {}
    for index in np.flatnonzero(counts[inverse.ravel()] > 1).tolist():
        by_content.setdefault(embeddings[index].tobytes(), []).append(index)
    return [members for members in by_content.values() if len(members) > 1]


def same_as_best(embeddings: np.ndarray, items: np.ndarray, queries: np.ndarray,
                 is_best: np.ndarray) -> dict[int, np.ndarray]:
    """Find items that equal the best match of a query in every bit.

    A block product and a pair product may round differently, so such ties are written into the
    block instead of being left to chance.

    Args:
        embeddings (np.ndarray): (N, D) of all items.
        items (np.ndarray): (P,) item of each matching pair.
        queries (np.ndarray): (P,) query of each matching pair.
        is_best (np.ndarray): (P,) bool, whether the item is the best match of the query.

    Returns:
        dict[int, np.ndarray]: item -> queries whose best match has the same embedding.
    """
    repeated = _repeated_rows(embeddings)
    if not repeated:
        return {}
    copy_of = np.full(len(embeddings), -1)
    for number, members in enumerate(repeated):
        copy_of[members] = number
    concerned = is_best & (copy_of[items] >= 0)
    kinds, queries = copy_of[items[concerned]], queries[concerned]
    order = np.lexsort((queries, kinds))
    ends = np.searchsorted(kinds[order], np.arange(len(repeated) + 1))
    result = {}
    for number, members in enumerate(repeated):
        tied = np.unique(queries[order[ends[number]:ends[number + 1]]])
        if len(tied):
            result.update(dict.fromkeys(members, tied))
    return result
