"""The small model in the package, and its training.

Format of a nano folder, version 2:

    config.json            `ModelConfig.to_json()`
    tokenizer.json         for the `tokenizers` library; one token for each word of `language.phrasing`
    weights.safetensors    tensors of all four networks, with the prefixes `text_encoder.`, `vae_encoder.`,
                           `transformer.`, `gaussian_decoder.`, then the network's own state-dict name
    weights-2.safetensors  the tensors that come after the first 9.4 MB, by name; absent if there are none

Each tensor is float16, or int8 with a companion `<name>.scale` (float32, one value per output row): value = int8 * scale.
The embedding that UMT5 stores under two names is stored once. The first file's metadata holds one JSON text under
`flashworld`: `format` ("flashworld-nano"), `version` (2), `files` (1 or 2), and the SHA-256 of the tensors, of the
configuration and of the tokenizer; a folder with inconsistent hashes is refused. `flashworld.nano.package` writes and
reads it, `flashworld.checkpoints.loading.load_nano` builds the networks.
"""

from __future__ import annotations

__all__ = ["language", "package", "sizes"]
