"""Compile gsplat's kernels into one library: run as a separate process, whose environment selects compiler and GPUs.

python -m aot.gsplat.build SOURCES BUILD_FOLDER

SOURCES is gsplat's `cuda` folder; the library is BUILD_FOLDER/csrc.so. Needs CUDA_HOME and TORCH_CUDA_ARCH_LIST, and
no GPU. Flags are gsplat 1.5.3's own.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(sources: Path, build: Path) -> None:
    """Compile."""
    from torch.utils import cpp_extension

    cpp_extension._jit_compile(
        "csrc",
        [
            str(p)
            for p in [*sorted(sources.glob("csrc/*.cu")), *sorted(sources.glob("csrc/*.cpp")), sources / "ext.cpp"]
        ],
        extra_cflags=["-O3", "-Wno-attributes"],
        extra_cuda_cflags=["-O3", "-use_fast_math"],
        extra_sycl_cflags=None,
        extra_ldflags=["-s"],
        extra_include_paths=[str(sources / "include"), str(sources / "csrc" / "third_party" / "glm")],
        build_directory=str(build),
        verbose=True,
        with_cuda=True,
        with_sycl=False,
        is_python_module=False,
        is_standalone=False,
        keep_intermediates=True,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
