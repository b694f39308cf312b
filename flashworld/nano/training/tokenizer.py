"""The tokenizer of nano's own sentences (`language.phrase`): one token per word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flashworld.config import TEXT_PREFIX
from flashworld.models.text_encoder import EOS_ID, PAD_ID, UNKNOWN_ID
from flashworld.nano.language.phrasing import vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def build_tokenizer() -> Tokenizer:
    """A word tokenizer: <pad> 0, </s> 1 (appended), <unk> 2, then the vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocab = {"<pad>": PAD_ID, "</s>": EOS_ID, "<unk>": UNKNOWN_ID}
    prefix = re.findall(r"\w+|[^\w\s]", TEXT_PREFIX.lower())
    vocab |= {word: len(vocab) + i for i, word in enumerate(sorted({*vocabulary(), *prefix}))}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocab, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS_ID)])
    return tokenizer
