"""Many small eigenvalue problems at once: the laws of a decomposition, and torch's own as the reference."""

from __future__ import annotations

import torch

from flashworld.eigen import ROWS_AT_ONCE, symmetric_eigen


def matrices(count: int) -> torch.Tensor:
    """Symmetric, positive, with axes of very different lengths; the first ones have equal eigenvalues or are singular."""
    factor = torch.randn(count, 3, 3, dtype=torch.float64) * 10 ** (-6 * torch.rand(count, 3, 1, dtype=torch.float64))
    found = factor @ factor.mT
    found[:4] = torch.stack(
        [torch.zeros(3, 3), torch.eye(3), torch.diag(torch.tensor([1.0, 2, 2])), torch.ones(3, 3)]
    ).double()
    return found


def test_eigenvectors_are_rotations_that_reconstruct_the_matrix():
    wanted = matrices(2000)
    values, vectors = symmetric_eigen(wanted)
    torch.testing.assert_close(vectors @ vectors.mT, torch.eye(3, dtype=torch.float64).expand_as(wanted))
    torch.testing.assert_close(torch.linalg.det(vectors), torch.ones(2000, dtype=torch.float64))
    error = (vectors @ torch.diag_embed(values) @ vectors.mT - wanted).abs().amax(dim=(1, 2))
    assert (error <= 1e-14 * wanted.abs().amax(dim=(1, 2))).all()


def test_eigenvalues_match_torch_over_several_blocks():
    wanted = matrices(ROWS_AT_ONCE + 3)
    values, _ = symmetric_eigen(wanted)
    torch.testing.assert_close(values.sort(dim=1).values, torch.linalg.eigvalsh(wanted), rtol=1e-9, atol=1e-12)


def test_empty_input_gives_empty_output():
    values, vectors = symmetric_eigen(torch.empty(0, 3, 3, dtype=torch.float64))
    assert values.shape == (0, 3) and vectors.shape == (0, 3, 3)
