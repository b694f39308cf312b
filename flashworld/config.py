"""Model sizes, pinned repositories and environment variables. Quantities only; nothing here loads or computes.

Source of the sizes: Wan2.2-TI2V-5B (transformer, VAE, text encoder) and FlashWorld (extra channels, Gaussian head).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flashworld.errors import CheckpointError

RAYMAP_CHANNELS = 6
GAUSSIANS_PER_PIXEL = 2
GAUSSIAN_HEAD_WIDTH = 38
"""Raw channels per Gaussian: SH 27, uv 2, depth 1, opacity 1, scale 3, rotation 4."""
SPATIAL_FACTOR = 16
"""Image pixels per latent pixel and side: 2 (patchify) x 8 (three downsamplings)."""
TEXT_PREFIX = "[Static] "
"""The model was trained with this prefix, also before an empty prompt."""
TEXT_TOKENS = 512
DEFAULT_FPS = 24
DEFAULT_VIDEO_SECONDS = 6.0
"""Default frame rate and length of a video, shared by page, command line, API and request files."""
DEFAULT_FOV_Y_DEG = 60.0
"""Vertical field of view if neither the request, the path nor the photo gives one; the original's value."""


@dataclass(frozen=True)
class TransformerConfig:
    """The DiT, with the parameter names of `diffusers.WanTransformer3DModel`."""

    num_attention_heads: int = 24
    attention_head_dim: int = 128
    num_layers: int = 30
    ffn_dim: int = 14336
    text_dim: int = 4096
    freq_dim: int = 256
    rope_max_seq_len: int = 1024


@dataclass(frozen=True)
class VaeConfig:
    """The still-frame VAE encoder and the Gaussian decoder derived from the VAE's decoder."""

    base_dim: int = 160
    decoder_base_dim: int = 256
    z_dim: int = 48
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    latents_mean: tuple[float, ...] = ()
    latents_std: tuple[float, ...] = ()


@dataclass(frozen=True)
class TextConfig:
    """The UMT5 encoder, with the parameter names of `transformers.UMT5Config`."""

    vocab_size: int = 256384
    d_model: int = 4096
    d_kv: int = 64
    d_ff: int = 10240
    num_layers: int = 24
    num_heads: int = 64
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    max_tokens: int = TEXT_TOKENS


@dataclass(frozen=True)
class ModelConfig:
    """One complete model.

    Attributes:
        name: "full", "nano" or a custom name; shown to visitors.
        feature_dim: Width of the features that the DiT passes to the Gaussian decoder and reads back at the next step.
        frames: Default number of views.
        height: Default image height in pixels.
        width: Default image width in pixels.
    """

    name: str
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    vae: VaeConfig = field(default_factory=VaeConfig)
    text: TextConfig = field(default_factory=TextConfig)
    feature_dim: int = 1024
    frames: int = 24
    height: int = 480
    width: int = 704

    @property
    def in_channels(self) -> int:
        """Noisy latent, raymap, condition latent, fed-back features, fed-back latent."""
        return 3 * self.vae.z_dim + RAYMAP_CHANNELS + self.feature_dim

    @property
    def out_channels(self) -> int:
        """Velocity, features."""
        return self.vae.z_dim + self.feature_dim

    def to_json(self) -> str:
        """JSON text that `from_json` reads back."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Read `to_json`'s output.

        Raises:
            CheckpointError: not JSON, or a field is missing or unknown.
        """
        try:
            data = json.loads(text)
            vae: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.pop("vae").items()}
            return cls(
                transformer=TransformerConfig(**data.pop("transformer")),
                vae=VaeConfig(**vae),
                text=TextConfig(**data.pop("text")),
                **data,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"model configuration is not readable: {error}") from error


WAN_LATENTS_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
WAN_LATENTS_STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip
FULL = ModelConfig("full", vae=VaeConfig(latents_mean=WAN_LATENTS_MEAN, latents_std=WAN_LATENTS_STD))
"""24 views of 480 x 704; 5.03 G + 0.21 G + 0.06 G + 5.68 G parameters."""


@dataclass(frozen=True)
class Repository:
    """A Hub repository, pinned."""

    repo_id: str
    revision: str


WAN_REPOSITORY = Repository(
    os.environ.get("FLASHWORLD_WAN_REPO", "Wan-AI/Wan2.2-TI2V-5B-Diffusers"),
    os.environ.get("FLASHWORLD_WAN_REVISION", "b8fff7315c768468a5333511427288870b2e9635"),
)
"""Tokenizer, text encoder and VAE."""
FLASHWORLD_REPOSITORY = Repository(
    os.environ.get("FLASHWORLD_REPO", "imlixinyang/FlashWorld"),
    os.environ.get("FLASHWORLD_REVISION", "6a8e88c6f88678ac098e4c82675f0aee555d6e5d"),
)
"""`model.ckpt`: the transformer and the Gaussian decoder."""
NANO_DIR = Path(__file__).parent / "nano"
