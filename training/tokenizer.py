"""Words become numbers: a byte-level BPE in CLIP's format, learned from labels and tags.

Byte-pair encoding (Sennrich et al. 2016) begins with single letters and again and again joins the
pair that stands side by side most often. CLIP (Radford et al. 2021, section 2.4) does so on bytes,
so that no text is unknown, in lower case, with `</w>` at the end of each word.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import CLIPTokenizer

from training.emoji import Concept
from training.errors import TrainingError
from training.parts import reading
from training.recipe import TokenizerRecipe

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
Word = tuple[str, ...]
Pair = tuple[str, str]
WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
"""What CLIP takes for a word: letters, a single digit, or a run of other signs."""


def corpus(
    concepts: Iterable[Concept], styles: Iterable[str], recipe: TokenizerRecipe
) -> Iterator[str]:
    """Every label and its tags, and the words that prompts are put together with."""
    for concept in concepts:
        yield concept.label
        yield " ".join(concept.tags)
    for word in (*recipe.words.split(), *styles):
        yield from [word] * recipe.word_weight


def learn_merges(texts: Iterable[str], count: int) -> list[Pair]:
    """The first `count` pairs that byte-pair encoding joins (Sennrich et al. 2016, algorithm 1).

    Of pairs that are equally frequent the first in the order of letters is joined, so that the same
    texts always give the same tokens.
    """
    words = _words(texts)
    uses = _count_pairs(words)
    merges: list[Pair] = []
    while len(merges) < count and uses:
        best = min(uses, key=lambda pair: (-uses[pair], pair))
        merges.append(best)
        changed = {word: _join(word, best) for word in words if _has(word, best)}
        uses.subtract(_count_pairs({word: words[word] for word in changed}))
        joined = {after: words.pop(before) for before, after in changed.items()}
        words |= joined
        uses.update(_count_pairs(joined))
        uses = +uses  # without what no longer occurs
    return merges


def _words(texts: Iterable[str]) -> dict[Word, int]:
    """Every word of the texts as letters, the last one with `</w>`, and how often it occurs."""
    split = _tokenizer({}, [])
    counts = Counter(
        word
        for text in texts
        for word, _ in split.pre_tokenizer.pre_tokenize_str(split.normalizer.normalize_str(text))
    )
    return {(*word[:-1], word[-1] + WORD_END): count for word, count in counts.items()}


def _count_pairs(words: Mapping[Word, int]) -> Counter[Pair]:
    counts: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            counts[pair] += count
    return counts


def _has(word: Word, pair: Pair) -> bool:
    return pair[0] in word and pair in pairwise(word)


def _join(word: Word, pair: Pair) -> Word:
    joined: list[str] = []
    for letter in word:
        if joined and (joined[-1], letter) == pair:
            joined[-1] += letter
        else:
            joined.append(letter)
    return tuple(joined)


def build_tokenizer(merges: list[Pair]) -> Tokenizer:
    """A token for each byte, for each byte that ends a word, for each merge, and two special."""
    letters = _letters()
    joined = [left + right for left, right in merges]
    vocabulary = dict.fromkeys(
        [*letters, *(letter + WORD_END for letter in letters), *joined, START, END]
    )
    ids = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = _tokenizer(ids, merges)
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, ids[END]), (START, ids[START]), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, token_limit: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "backend": "tokenizers",
        "bos_token": START,
        "eos_token": END,
        "model_max_length": token_limit,
        "pad_token": END,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": END,
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """What `save_tokenizer` wrote.

    Raises:
        TrainingError: the folder is missing or damaged.
    """
    if not (folder / "tokenizer.json").is_file():
        raise TrainingError(f"{folder} holds no tokenizer: run `python -m training tokenizer`.")
    with reading(folder):
        tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    return tokenizer


def token_ids(tokenizer: CLIPTokenizer, texts: list[str], *, full_length: bool = True) -> Tensor:
    """[texts, tokens] int64: the start, the text, and the end as often as there is room.

    Shorter rows than the limit do where only the first end token counts, which sees nothing that
    comes after it.
    """
    limit = int(tokenizer.model_max_length)
    padding = "max_length" if full_length else "longest"
    encoded = tokenizer(texts, padding=padding, max_length=limit, truncation=True)
    return torch.tensor(encoded["input_ids"], dtype=torch.int64)


def _tokenizer(ids: dict[str, int], merges: list[Pair]) -> Tokenizer:
    tokenizer = Tokenizer(
        models.BPE(
            ids,
            merges,
            unk_token=END if ids else None,
            continuing_subword_prefix="",
            end_of_word_suffix=WORD_END,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def _letters() -> list[str]:
    """One printable letter for each of the 256 bytes."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())
