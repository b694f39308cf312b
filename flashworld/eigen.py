"""Eigenvalues and eigenvectors of many symmetric 3x3 matrices.

`torch.linalg.eigh` is designed for few large matrices: for a million small ones on a GPU it allocates hundreds of GiB of
workspace. Here each matrix is a row of numbers, and all are rotated at once.

Source: the cyclic Jacobi method (Golub and Van Loan, "Matrix Computations", section 8.5).
"""

from __future__ import annotations

import torch

SWEEPS = 5
"""Off-diagonal elements converge to zero quadratically: five sweeps reach the precision of float64."""
ROWS_AT_ONCE = 2**16
"""On the CPU, so that a block stays in the cache."""


def symmetric_eigen(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Diagonalise: A = V diag(values) V^T.

    Args:
        matrices: Symmetric, float64 for full accuracy; the upper triangle is read. (n, 3, 3)

    Returns:
        Eigenvalues in no particular order (n, 3), and V with eigenvectors as columns, a rotation (n, 3, 3).
    """
    parts = [_jacobi(part) for part in matrices.split(max(1, len(matrices)) if matrices.is_cuda else ROWS_AT_ONCE)]
    return torch.cat([values for values, _ in parts]), torch.cat([vectors for _, vectors in parts])


def _jacobi(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    a = {(p, q): matrices[:, p, q].clone() for p in range(3) for q in range(p, 3)}
    vectors = list(torch.eye(3, dtype=matrices.dtype, device=matrices.device).expand(len(matrices), 3, 3).unbind(2))
    for _ in range(SWEEPS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            off = a[p, q]
            theta = (a[q, q] - a[p, p]) / (2 * off)
            tangent = torch.where(
                off == 0, 0, torch.copysign(1 / (theta.abs() + torch.sqrt(theta.square() + 1)), theta)
            )
            cosine = torch.rsqrt(tangent.square() + 1)
            sine = tangent * cosine
            a[p, p], a[q, q], a[p, q] = a[p, p] - tangent * off, a[q, q] + tangent * off, torch.zeros_like(off)
            r = 3 - p - q
            rp, rq = (min(r, p), max(r, p)), (min(r, q), max(r, q))
            a[rp], a[rq] = cosine * a[rp] - sine * a[rq], sine * a[rp] + cosine * a[rq]
            c, s = cosine[:, None], sine[:, None]
            vectors[p], vectors[q] = c * vectors[p] - s * vectors[q], s * vectors[p] + c * vectors[q]
    return torch.stack([a[0, 0], a[1, 1], a[2, 2]], dim=1), torch.stack(vectors, dim=2)
