from __future__ import annotations

import pickle

import torch

from flashworld.gaussians import Gaussians
from flashworld.transfer import pack, unpack


def random_scene(count: int = 500) -> Gaussians:
    return Gaussians(
        means=torch.randn(count, 3) * 10,
        quats_wxyz=torch.randn(count, 4),
        scales=torch.exp(torch.randn(count, 3) * 2 - 4),
        opacities=torch.rand(count),
        sh=torch.randn(count, 9, 3),
    )


def test_packed_scene_survives_a_pickle_within_the_stated_precision():
    scene = random_scene()
    back = unpack(pickle.loads(pickle.dumps(pack(scene))))
    assert torch.equal(back.means, scene.means)
    unit = torch.nn.functional.normalize(scene.quats_wxyz, dim=1)
    assert float((back.quats_wxyz - unit).abs().max()) < 1e-3
    assert float((back.scales / scene.scales - 1).abs().max()) < 4e-3
    assert float((back.opacities - scene.opacities).abs().max()) < 5e-4
    assert float((back.sh - scene.sh).abs().max()) < 2e-3


def test_extreme_opacities_and_scales_stay_finite():
    scene = random_scene(4)
    scene = Gaussians(
        scene.means, scene.quats_wxyz, torch.tensor([[0.0, 1e-30, 1e6]] * 4), torch.tensor([0, 1, 0.5, 1.0]), scene.sh
    )
    back = unpack(pack(scene))
    for value in (back.scales, back.opacities, back.quats_wxyz):
        assert torch.isfinite(value).all()
    assert float(back.opacities[1]) > 0.999
    assert float(back.opacities[0]) < 1e-3


def test_packed_bytes_are_what_the_docstring_says():
    assert pack(random_scene(100)).nbytes == 100 * 82
