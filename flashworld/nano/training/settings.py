"""Hyperparameters of training: sizes, sampling shares, learning rates and loss weights."""

from __future__ import annotations

import dataclasses

STEP_KINDS = {"pictures": 0.3, "words": 0.4, "latents": 0.3}
"""Relative frequency of each kind of stage-2 step, see `steps`. A latent step takes a fifth of the others' time."""
PICTURE_CONDITIONS = {"image": 0.65, "both": 0.35}
"""Shares of image-conditioned scenes without and with their sentence."""
PICTURE_FRAMES = {4: 0.15, 6: 0.15, 8: 0.55, 12: 0.15}
SHORT_FRAMES, LONG_FRAMES = {4: 0.7, 5: 0.3}, {8: 0.7, 6: 0.15, 12: 0.15}
"""Input frames of text-conditioned scenes, from the pools of short and of long paths."""
LONG_SHARE = 0.3
"""Share of word steps that use long paths, as at inference."""
LATENT_FRAMES = 4
STEP_SHARES = (0.30, 0.14, 0.14, 0.42)
"""Relative frequency with which each of the four sampling steps is trained; the last one produces the result."""
FIRST_STEP_ONLY = 0.15
"""Share of an initial run that trains only the first sampling step: it needs no unrolling, and others depend on it."""
TRUE_LATENTS = 0.3
"""Share of later steps that start from ground-truth latents instead of the previous steps' output."""
AUTOENCODER_DIVISOR = 0.5
"""Scene units per model unit without a path, as for a path half a unit long."""
AUTOENCODER_RATES = {"vae_encoder": 1.2e-3, "gaussian_decoder": 1.2e-3}
GENERATOR_RATES = {"text_encoder": 1.2e-3, "transformer": 8e-4, "gaussian_decoder": 5e-4, "vae_encoder": 4e-4}
WARM_UP_STEPS = 80
WEIGHTS = {
    "depth": 0.4, "holes": 0.2, "opacity": 0.003, "size": 0.01, "latent": 0.05, "clean": 0.05, "kl": 5e-4, "input": 2.0, "edges": 0.5,
}  # fmt: skip
LOG_EVERY = 25
SAVE_SECONDS, LOOK_SECONDS = 150.0, 75.0
THING_WEIGHT = 6.0
"""Loss weight of thing pixels in word steps, relative to 1: things are few and small."""
REFRESH_SHARE = 0.2
"""Share of time spent on rendering new training views."""
FILL_SECONDS = 20.0
"""Seconds for filling each pool at the start."""


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Sizes of a training run, apart from the model's.

    Attributes:
        worlds: Worlds in the bank for image conditioning.
        word_worlds: Worlds in each bank for text conditioning.
        paths: Paths in the bank.
        pictures: Images in the atlas.
        texture_size: Side of the atlas's textures, pixels.
        pool: Image-conditioned pool entries for the main size; half as many for the transposed size.
        word_pool: Text-conditioned pool entries on short paths for the main size; a third as many for the transposed
            size, and a fifth as many on long paths.
        frames_per_step: Input frames per generator step, over all scenes.
        latent_scenes: Scenes per latent step.
        check_captions: Captions in the validation of text conditioning.
        views_per_step: Images per autoencoder step.
        samples: Rays per pixel along each axis.
    """

    worlds: int = 16384
    word_worlds: int = 49152
    paths: int = 3000
    pictures: int = 320
    texture_size: int = 256
    pool: int = 600
    word_pool: int = 1800
    frames_per_step: int = 96
    latent_scenes: int = 96
    check_captions: int = 48
    views_per_step: int = 192
    samples: int = 2


TINY_SETTINGS = TrainingSettings(
    worlds=12, word_worlds=12, paths=8, pictures=4, texture_size=32, pool=4, word_pool=15, frames_per_step=6,
    latent_scenes=4, check_captions=3, views_per_step=6, samples=1,
)  # fmt: skip
