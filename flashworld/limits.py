"""Every limit on requests and input files. `docs/limits.md` is generated from this file."""

from __future__ import annotations

MIN_FRAMES = 2
"""A single camera is not a path, and the model was trained on several views."""
MAX_FRAMES = 32
SIZE_MULTIPLE = 32
"""16 for the VAE times 2 for the DiT's patches."""
MIN_SIDE_PX = 64
MAX_SIDE_PX = 1024
MAX_SCENE_PIXELS = 32 * 480 * 704
"""frames x height x width: what fits next to the weights on a 48 GB slice."""

MAX_PROMPT_CHARS = 2000
"""About 512 tokens; the encoder would silently truncate the rest."""

MIN_IMAGE_SIDE_PX = 16
MAX_IMAGE_PIXELS = 64_000_000
MAX_IMAGE_BYTES = 32 * 2**20
MAX_IMAGE_ASPECT = 20.0
MAX_ICC_BYTES = 4 * 2**20
"""A picture's colour profile; those for printing presses reach 2.7 MB. A larger one is ignored with a warning in the log."""
MAX_JPEG_SCANS = 1000
"""A progressive JPEG has about ten scans; each may cost a full pass over the image for 30 bytes of file."""
MAX_JPEG_SCAN_PIXELS = 2_000_000_000
"""scans x pixels: about 3 s. A decompression bomb of 32 MB would occupy a core for hours."""

MIN_CAMERAS = 2
MAX_CAMERAS = 1000
MAX_COORDINATE = 1e6
"""Largest absolute position of a camera, in scene units; float32 keeps 0.1 there."""
MIN_FOV_DEG = 5.0
MAX_FOV_DEG = 150.0
MAX_PRINCIPAL_POINT = 10.0
"""cx / W and cy / H: no realistic crop of a photograph is farther from the optical axis."""
MAX_LENS_SIDE_PX = 100_000
"""Largest image side, in pixels, that a path may specify its lens for."""
MAX_JSON_BYTES = 48 * 2**20
"""A request with the largest image as base64 still fits."""
MAX_JSON_VALUES = 200_000
"""Numbers, lists and objects in one text; 1000 cameras as matrices are 30,000. Empty lists take 30 times the memory of their text."""

MAX_COLMAP_BYTES = 512 * 2**20
"""One file of a COLMAP model; most of `images` is points, which are skipped."""

MAX_SEED = 2**31 - 1
MIN_FPS = 1
MAX_FPS = 60
MIN_VIDEO_SECONDS = 0.2
MAX_VIDEO_SECONDS = 60.0
MAX_VIDEO_FRAMES = 1200

MAX_RENDER_SIDE_PX = 8192
"""8K video; the CPU renderer keeps pixel positions in 16 bits."""

MAX_SCENE_FILE_BYTES = 2 * 2**30
MAX_GAUSSIANS = 16_000_000
"""A scene file with more is refused before memory is allocated."""
MAX_SPZ_RATIO = 50
"""Largest compression ratio of an SPZ file of more than 64 MiB unpacked: scenes have 2 to 6, decompression bombs 1000."""
MAX_ANIMATION_PIXELS = 64_000_000
"""frames x height x width of a GIF or WebP preview: Pillow holds them all, 4 bytes each."""

MAX_MANIFEST_ROWS = 1_000_000
"""Scenes of one batch: their ids and rows of the result table are held in memory, about 1 kB each."""
MAX_ID_CHARS = 100
"""An id is the name of its scene's folder."""

ANONYMOUS_GPU_SECONDS = 120
"""Daily ZeroGPU quota in seconds of a visitor without an account: a call that requests more is refused."""
