"""Small random scenes and an independent evaluation of spherical harmonics, for the tests of files and scenes."""

from __future__ import annotations

import shutil
import subprocess
from types import ModuleType

import pytest
import torch

from flashworld.gaussians import Gaussians

SMALL_DISK_BYTES = 256 * 1024


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 256 KiB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def make_scene():
    """A function (count, degree, seed) -> Gaussians with unit quaternions and values that every format can represent."""

    def make(count: int = 200, degree: int = 2, seed: int = 0) -> Gaussians:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        return Gaussians(
            normal(count, 3) * 2,
            torch.nn.functional.normalize(normal(count, 4), dim=1),
            torch.exp(normal(count, 3) * 0.5 - 3),
            torch.sigmoid(normal(count) * 2),
            torch.cat([normal(count, 1, 3), normal(count, (degree + 1) ** 2 - 1, 3).clamp(-3, 3) * 0.3], dim=1),
        )

    return make


@pytest.fixture(scope="session")
def evaluate_sh():
    """A function (sh (N, K, 3), directions (N, 3)) -> colours (N, 3): the basis of Gaussian splatting, degree <= 3."""

    def evaluate(sh: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
        x, y, z = directions.to(sh).unbind(1)
        xx, yy, zz = x * x, y * y, z * z
        basis = [
            torch.full_like(x, 0.28209479177387814),
            -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x,
            1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (2 * zz - xx - yy),
            -1.0925484305920792 * x * z, 0.5462742152960396 * (xx - yy),
            -0.5900435899266435 * y * (3 * xx - yy), 2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy), 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy), 1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ]  # fmt: skip
        return torch.einsum("nk,nkc->nc", torch.stack(basis[: sh.shape[1]], dim=1), sh)

    return evaluate


@pytest.fixture(scope="session")
def gsply() -> ModuleType:
    """An independent reader and writer with its C++ backend, since compiling the other one takes ten seconds a run."""
    import gsply

    gsply.use_backend("auto")
    return gsply
