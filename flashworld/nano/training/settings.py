"""Numbers of a training run that are not the model's: sizes, shares, rates and weights of losses."""

from __future__ import annotations

import dataclasses

STEP_KINDS = {"pictures": 0.3, "words": 0.4, "latents": 0.3}
"""How often a step of stage 2 is of each kind, see `steps`. A latent step takes a fifth of the time of the others."""
PICTURE_CONDITIONS = {"image": 0.65, "both": 0.35}
"""Of scenes that see a picture: without and with their sentence."""
PICTURE_FRAMES = {4: 0.15, 6: 0.15, 8: 0.55, 12: 0.15}
SHORT_FRAMES, LONG_FRAMES = {4: 0.7, 5: 0.3}, {8: 0.7, 6: 0.15, 12: 0.15}
"""Input frames of scenes of words from the pools of short and of long paths."""
LONG_SHARE = 0.3
"""Of word steps that take long paths, as at inference."""
LATENT_FRAMES = 4
STEP_SHARES = (0.34, 0.18, 0.18, 0.30)
"""How often each of the four steps of the loop is trained; the last one makes the result."""
FIRST_STEP_ONLY = 0.15
"""Share of a first run that trains the first step alone: it costs no unrolling, and the later steps build on it."""
TRUE_LATENTS = 0.3
"""Share of later steps that start from the true latents instead of what the steps before made of them."""
AUTOENCODER_DIVISOR = 0.5
"""Scene units to a model unit when there is no path: that of a path half a unit long."""
AUTOENCODER_RATES = {"vae_encoder": 1.2e-3, "gaussian_decoder": 1.2e-3}
GENERATOR_RATES = {"text_encoder": 1.2e-3, "transformer": 8e-4, "gaussian_decoder": 5e-4, "vae_encoder": 4e-4}
WARM_UP_STEPS = 80
WEIGHTS = {
    "depth": 0.4, "holes": 0.2, "opacity": 0.003, "size": 0.01, "latent": 0.05, "clean": 0.05, "kl": 5e-4, "input": 1.0, "edges": 0.5,
}  # fmt: skip
LOG_EVERY = 25
SAVE_SECONDS, LOOK_SECONDS = 150.0, 75.0
THING_WEIGHT = 6.0
"""Weight of pixels that show a thing where words are trained, beside 1: things are few and small."""
REFRESH_SHARE = 0.2
"""Of the time that goes into rendering new training views."""
FILL_SECONDS = 20.0
"""Into rendering the first ones, for each pool."""


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Sizes of a run that are not the model's.

    Attributes:
        worlds: In the bank of worlds seen through pictures.
        word_worlds: In each bank of worlds of words.
        paths: In the bank.
        pictures: In the atlas.
        texture_size: Of the atlas.
        pool: Entries of pictures for the main size; half of it for the turned one.
        word_pool: Entries of words on short paths for the main size; a third of it for the turned one, and a fifth of it
            on long paths.
        frames_per_step: Input frames a generator step, over all scenes.
        latent_scenes: Scenes of a latent step.
        check_captions: Scenes of words whose colours are looked for during training.
        views_per_step: Pictures an auto-encoder step.
        samples: Rays a pixel and side.
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
