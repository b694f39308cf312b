"""Text conditioning: prompt to the (1, tokens, text_dim) embedding that the DiT attends to.

The tokenizer is `tokenizer.json` verbatim through the `tokenizers` library; transformers 5 would rebuild it with different
ids for unknown characters. Only the actual tokens are encoded: padding is masked in the original, so it affects only the
running time, and its rows are replaced by zeros afterwards. The zero rows matter: the DiT attends to all of them without a
mask.

Numerics: dtype of the weights; the embedding is returned in that dtype.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from flashworld.config import TEXT_PREFIX, TEXT_TOKENS, TextConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import UMT5EncoderModel

CACHED_TEXTS = 32
"""Cached embeddings, without padding: at full size at most 4 MB each in bfloat16."""
PAD_ID, EOS_ID, UNKNOWN_ID = 0, 1, 2
EMBEDDING, TIED_EMBEDDING = "shared.weight", "encoder.embed_tokens.weight"


class TextReader(nn.Module):
    """The encoder as one call without options or padding, suitable for export."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (1, tokens), int64 -> embedding (1, tokens, text_dim)"""
        return self.encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state


class TextConditioner:
    """Tokenizer and encoder, with a small cache of recent prompts.

    Args:
        tokenizer: With a post-processor that appends </s>. Its truncation and padding are set here.
        encoder: A UMT5 encoder.
        max_tokens: Rows of the embedding; longer prompts are truncated, keeping </s>.
        read_prompt: The text to encode for a prompt; None: the prompt itself.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        encoder: nn.Module,
        max_tokens: int = TEXT_TOKENS,
        read_prompt: Callable[[str], str] | None = None,
    ) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.reader = TextReader(encoder)
        self.max_tokens = max_tokens
        self.read_prompt = read_prompt
        self._recent: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, text: str, *, padded: bool = True) -> torch.Tensor:
        """Embed a prompt, which may be empty.

        Args:
            text: The prompt without the "[Static] " prefix, which is added here.
            padded: Zero rows up to `max_tokens`; False: one if there is room.

        Returns:
            Embedding on the encoder's device, zero rows after the last token. (1, tokens, text_dim)
        """
        if torch.is_grad_enabled():  # a cached tensor must not carry a graph or come from inference mode
            return self.encode_ids(self.token_ids(text), padded=padded)
        with self._lock:
            found = self._recent.get(text)
            if found is not None:
                self._recent.move_to_end(text)
        if found is None:
            found = self._encode(self.token_ids(text))
            with self._lock:
                self._recent[text] = found
                while len(self._recent) > CACHED_TEXTS:
                    self._recent.popitem(last=False)
        return self._pad(found, padded)

    def token_ids(self, text: str) -> list[int]:
        """Ids of "[Static] " + the text to encode, ending in </s>, at most `max_tokens`."""
        read = text if self.read_prompt is None else self.read_prompt(text)
        return self.tokenizer.encode(TEXT_PREFIX + read).ids

    def encode_ids(self, ids: list[int], *, padded: bool = True) -> torch.Tensor:
        """Embed token ids. (1, max_tokens, text_dim), with `padded` False one row more than ids if there is room"""
        return self._pad(self._encode(ids), padded)

    def with_encoder(self, encoder: nn.Module) -> TextConditioner:
        """A copy with another encoder and an empty cache."""
        return TextConditioner(self.tokenizer, encoder, self.max_tokens, self.read_prompt)

    def forget(self) -> None:
        """Clear the cache, after the encoder has moved or changed."""
        with self._lock:
            self._recent.clear()

    def _encode(self, ids: list[int]) -> torch.Tensor:
        device = next(self.encoder.parameters()).device
        return self.reader(torch.tensor([ids], dtype=torch.int64, device=device))

    def _pad(self, embedding: torch.Tensor, padded: bool) -> torch.Tensor:
        missing = self.max_tokens - embedding.shape[1]
        return nn.functional.pad(embedding, (0, 0, 0, missing if padded else min(1, missing)))


def build_text_encoder(config: TextConfig, device: torch.device | str = "meta") -> UMT5EncoderModel:
    """The UMT5 encoder with uninitialised weights; see `tie_embedding` after assigning a state dict."""
    from transformers import UMT5Config, UMT5EncoderModel

    sizes = UMT5Config(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        d_kv=config.d_kv,
        d_ff=config.d_ff,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        relative_attention_num_buckets=config.relative_attention_num_buckets,
        relative_attention_max_distance=config.relative_attention_max_distance,
        feed_forward_proj="gated-gelu",
        layer_norm_epsilon=1e-6,
        pad_token_id=PAD_ID,
        eos_token_id=EOS_ID,
    )
    with torch.device(device):
        return UMT5EncoderModel(sizes).eval()


def text_encoder_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict with both names of the shared embedding, whichever of them the file contains."""
    full = dict(state)
    for stored, other in ((EMBEDDING, TIED_EMBEDDING), (TIED_EMBEDDING, EMBEDDING)):
        if stored in full:
            full.setdefault(other, full[stored])
    return full


def tie_embedding(encoder: UMT5EncoderModel) -> None:
    """Make both names of the embedding one parameter again, so that moving the encoder moves it once."""
    encoder.encoder.embed_tokens.weight = encoder.shared.weight


def tiny_tokenizer(vocab_size: int) -> Tokenizer:
    """A byte tokenizer for networks with random weights: special tokens, then as many bytes as fit; </s> is appended."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    specials = {"<pad>": PAD_ID, "</s>": EOS_ID, "<unk>": UNKNOWN_ID}
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())  # printable ASCII first
    vocab = specials | {letter: i for i, letter in enumerate(letters[: vocab_size - len(specials)], len(specials))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS_ID)])
    return tokenizer
