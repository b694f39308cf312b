"""Codebooks for SOG: vector and scalar quantisation.

Scalars, 256 levels: Lloyd's algorithm on a histogram, whose cost does not depend on the number of values. Vectors (SH): a
binary tree. Every node splits its vectors at the mean of the component with the largest variance, and the leaves' means are the
palette. This is coarser than k-means of the same size but takes seconds without a GPU, where k-means takes hours.
"""

from __future__ import annotations

import numpy as np

VALUES = 256
BINS = 1 << 14
ROUNDS = 30
EVEN_SHARE = 0.3
"""Share of the weight that is spread evenly over the whole range, so that rare values, mainly the largest scales, stay exact."""


def value_codebook(values: np.ndarray) -> np.ndarray:
    """256 ascending float32 numbers, with a level near each value of `values` (any shape)."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.full(VALUES, low, dtype=np.float32)
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    counts = counts + EVEN_SHARE * values.size / BINS
    middles = (edges[1:] + edges[:-1]) / 2
    mass, moment = np.append(0, np.cumsum(counts)), np.append(0, np.cumsum(counts * middles))
    spread = np.append(0, np.cumsum(counts ** (1 / 3)))  # the best density of a fine quantiser
    book = np.interp((np.arange(VALUES) + 0.5) / VALUES * spread[-1], spread, edges)
    for _ in range(ROUNDS):
        cuts = np.concatenate([[0], np.searchsorted(middles, (book[1:] + book[:-1]) / 2), [BINS]])
        weight = np.diff(mass[cuts])
        book = np.where(weight > 0, np.diff(moment[cuts]) / np.maximum(weight, 1e-9), book)
        book = np.maximum.accumulate(book)
    return book.astype(np.float32)


def nearest_value(values: np.ndarray, book: np.ndarray) -> np.ndarray:
    """Indices into an ascending codebook, uint8, in the shape of `values`."""
    return np.searchsorted((book[1:] + book[:-1]) / 2, values).astype(np.uint8)


def vector_palette(vectors: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Partition vectors into up to 2^levels groups of neighbours.

    Args:
        vectors: float32. (n, d)
        levels: Depth of the tree.

    Returns:
        The groups' means (2^levels, d), zeros where a group is empty, and each vector's group. (n,)
    """
    count, width = vectors.shape
    group = np.zeros(count, dtype=np.int64)
    for level in range(levels):
        groups = 1 << level
        size = np.maximum(np.bincount(group, minlength=groups), 1)
        means, squares = np.empty((2, groups, width), dtype=np.float64)
        for column in range(width):
            values = vectors[:, column].astype(np.float64)
            means[:, column] = np.bincount(group, values, groups) / size
            squares[:, column] = np.bincount(group, values * values, groups) / size
        axis = (squares - means**2).argmax(axis=1)
        cut = np.take_along_axis(means, axis[:, None], axis=1)[:, 0]
        above = np.take_along_axis(vectors, axis[group][:, None], axis=1)[:, 0] > cut[group]
        group = 2 * group + above
    groups = 1 << levels
    size = np.maximum(np.bincount(group, minlength=groups), 1)
    palette = np.stack([np.bincount(group, vectors[:, c], groups) / size for c in range(width)], axis=1)
    return palette.astype(np.float32), group
