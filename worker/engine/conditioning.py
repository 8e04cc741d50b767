"""Text to embeddings, as diffusers' pipeline does it, with a cache by text."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.engine.device import upload
from worker.engine.model import Model


@dataclass(frozen=True, slots=True)
class Conditioning:
    embedding: Tensor  # [tokens, width] in the model's dtype
    cut_off: str  # the end of the text that did not fit into the model's tokens


class PromptEncoder:
    """Encodes each text by itself, so that no other prompt can touch it, and remembers the last.

    `hits` and `misses` count since the start.
    """

    def __init__(self, model: Model, capacity: int = 512):
        self._model = model
        self._capacity = capacity
        self._known: OrderedDict[str, Conditioning] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def encode(self, text: str) -> Conditioning:
        known = self._known.get(text)
        if known is not None:
            self._known.move_to_end(text)
            self.hits += 1
            return known
        self.misses += 1
        fresh = self._encode(text)
        self._known[text] = fresh
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return fresh

    @torch.inference_mode()
    def _encode(self, text: str) -> Conditioning:
        model = self._model
        tokens = model.tokenizer(
            text,
            padding="max_length",
            max_length=model.token_limit,
            truncation=True,
            return_tensors="pt",
        )
        uses_mask = getattr(model.text_encoder.config, "use_attention_mask", False)
        mask = upload(tokens.attention_mask, model.device) if uses_mask else None
        ids = upload(tokens.input_ids, model.device)
        hidden = model.text_encoder(ids, attention_mask=mask)[0]
        return Conditioning(hidden[0].to(model.dtype), self._cut_off(text))

    def _cut_off(self, text: str) -> str:
        tokenizer = self._model.tokenizer
        every = tokenizer(text, truncation=False, verbose=False).input_ids
        limit = self._model.token_limit
        if len(every) <= limit:
            return ""
        # The last token is the end mark, and so is the last one that fits.
        return str(tokenizer.decode(every[limit - 1 : -1])).strip()
