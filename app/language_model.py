"""The artifact: the TorchScript network and its vocabulary. Nothing else in `app` touches either."""

import hashlib
import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from torch import Tensor

from app.artifact_sums import ADVICE, verified
from app.errors import StartupError
from app.row_calls import RowCalls
from app.state_cache import StateCache
from app.word_cache import WordCache

MODEL_FILE, VOCABULARY_FILE, DESCRIPTION_FILE = "language_model.pt", "vocab.json", "description.json"
FORMAT_VERSION = 2
"""Of the artifacts that can be served."""
WORD_END = "</w>"
"""Ends the name of each token that is the last of its pre-token."""
SHORT_TEXT = 32
"""Characters of a text whose tokens are kept: a word or two."""
SHORT_TEXTS = 8192


def _encode(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text).ids)


def _byte_alphabet() -> dict[str, int]:
    """The printable character that byte-level BPE writes for each byte (Radford et al. 2019): most are themselves."""
    themselves = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in themselves]
    return {chr(byte): byte for byte in themselves} | {chr(256 + n): byte for n, byte in enumerate(others)}


class Vocabulary:
    """Text to tokens and back, and which token is which."""

    def __init__(self, tokenizer: Tokenizer, tokens: dict[str, Any]) -> None:
        self._tokenizer = tokenizer
        # The tokenizer gives the interpreter's lock away, and who wants it back beside a busy engine waits for it.
        self._encode_short = lru_cache(SHORT_TEXTS)(partial(_encode, tokenizer))
        self.size: int = tokenizer.get_vocab_size()
        self.end: int = tokens["end"]
        self._openings: list[int] = [tokens["opening_unrated"], *tokens["opening_by_stars"]]
        self.special = frozenset([*self._openings, self.end])

    def opening(self, stars: int | None) -> int:
        """The token that opens a review with this rating, or with none that is known."""
        return self._openings[stars or 0]

    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of a text. Those of the last short ones are kept: people type the same words again and again."""
        return self._encode_short(text) if len(text) <= SHORT_TEXT else _encode(self._tokenizer, text)

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The tokens of a text and where each stands in it, in characters."""
        encoding = self._tokenizer.encode(text)
        return encoding.ids, encoding.offsets

    def pre_tokens(self, text: str) -> list[str]:
        """Words (each with the space before it), digits, runs of punctuation, white space: the parts of a text."""
        return [text[start:end] for _, (start, end) in self._tokenizer.pre_tokenizer.pre_tokenize_str(text)]

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes that each token stands for; none for the special ones."""
        alphabet = _byte_alphabet()
        return [
            b"" if token in self.special else bytes(alphabet[character] for character in name.removesuffix(WORD_END))
            for token, name in enumerate(self._names)
        ]

    def name(self, token: int) -> str:
        """What the vocabulary calls a token; the special ones have no other text."""
        return self._names[token]

    @cached_property
    def ends_part(self) -> list[bool]:
        """Whether each token says that it is the last of its word, its run of punctuation or its white space."""
        return [token not in self.special and name.endswith(WORD_END) for token, name in enumerate(self._names)]

    @cached_property
    def _names(self) -> list[str]:
        return sorted(ids := self._tokenizer.get_vocab(), key=ids.__getitem__)


@dataclass(frozen=True)
class LanguageModel:
    """The network behind its calls, on one CPU thread. States are rows of float32, `[B, S]`.

    `calls` are the same with the rows one by one; `states` and `words` keep some of what came of them.
    """

    module: torch.jit.ScriptModule
    calls: RowCalls
    vocabulary: Vocabulary
    description: dict[str, Any]
    states: StateCache
    words: WordCache

    @property
    def cache_bytes(self) -> int:
        """Memory of all that is kept."""
        return self.states.bytes + self.words.bytes

    @property
    def cache_hits(self) -> int:
        """Texts of which a beginning was kept."""
        return self.states.hits + self.words.hits

    @property
    def cache_misses(self) -> int:
        """Texts of which nothing was kept."""
        return self.states.misses

    @property
    def name(self) -> str:
        name: str = self.description["model"]
        return name

    def initial_state(self, batch: int) -> Tensor:
        state: Tensor = self.module.initial_state(batch)
        return state

    def initial_states(self, batch: int) -> Sequence[Tensor]:
        """The same as rows `[S]`, which nobody may change: they are one."""
        return [self._initial_row] * batch

    @cached_property
    def _initial_row(self) -> Tensor:
        return self.initial_state(1)[0]

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B]`; returns log-probabilities of the next token `[B, V]` and the state after."""
        log_probabilities, after = self.module.step(tokens, state)
        return log_probabilities, after

    def advance(self, tokens: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B, T]` and `lengths [B]`; returns as `step` does after each row's last token."""
        log_probabilities, after = self.module.advance(tokens, lengths, state)
        return log_probabilities, after

    def score(self, tokens: Tensor, lengths: Tensor, state: Tensor, ranks: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Returns each token's log-probability and rank (0 unless `ranks`), both `[B, T]`, and the state after."""
        log_probabilities, rank, after = self.module.score(tokens, lengths, state, ranks)
        return log_probabilities, rank, after


def load_language_model(directory: Path, cache_bytes: int = 0, sha256: str | None = None) -> LanguageModel:
    """Loads the artifact in `directory`, of whose results at most `cache_bytes` are kept; `sha256` is its model file's.

    Raises StartupError, with advice, if it is missing, damaged, changed or mismatched; before that, none of it is run.
    """
    # One row is one small product: a second thread only gets in the way, and bits must not depend on their number.
    torch.set_num_threads(1)
    model, vocabulary = directory / MODEL_FILE, directory / VOCABULARY_FILE
    contents = verified(directory, (MODEL_FILE, VOCABULARY_FILE), {MODEL_FILE: sha256} if sha256 else {})
    module, calls, description = _load_module(model, contents[MODEL_FILE])
    if (found := description.get("format_version")) != FORMAT_VERSION:
        raise StartupError(f"{model} has format version {found}, this service reads {FORMAT_VERSION}; {ADVICE}.")
    if hashlib.sha256(contents[VOCABULARY_FILE]).hexdigest() != description["vocabulary_sha256"]:
        raise StartupError(f"{vocabulary} is not the vocabulary that {model} was trained with; {ADVICE}.")
    tokenizer = Tokenizer.from_buffer(contents[VOCABULARY_FILE])
    words = Vocabulary(tokenizer, description["tokens"])
    states, following = StateCache(cache_bytes - cache_bytes // 2), WordCache(cache_bytes // 2, calls)
    return LanguageModel(module, calls, words, description, states, following)


def _multiplies_packed() -> bool:
    """Whether this processor multiplies int8 matrices many times sooner where one of them was packed for it.

    FBGEMM needs AVX2 for that. Where there is VNNI, which is made for such products, oneDNN does without.
    """
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx2")) and not capabilities.get("avx512_vnni")


def _load_module(path: Path, content: bytes) -> tuple[torch.jit.ScriptModule, RowCalls, dict[str, Any]]:
    extra = {DESCRIPTION_FILE: ""}
    try:
        with warnings.catch_warnings():
            # torch 2.13 announces the end of TorchScript, which the artifact contract keeps to, and of its own
            # quantized tensors, which packing weights goes through; torch is pinned.
            warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
            warnings.filterwarnings("ignore", message=".*torch.quantize_per_tensor.*", category=UserWarning)
            file = io.BytesIO(content)
            module: torch.jit.ScriptModule = torch.jit.load(file, map_location="cpu", _extra_files=extra)
            if hasattr(module, "pack") and _multiplies_packed():
                module.pack()
            calls = cast(RowCalls, torch.jit.script(RowCalls(module.eval())))
        description: dict[str, Any] = json.loads(extra[DESCRIPTION_FILE])
    except (RuntimeError, ValueError, OSError):
        raise StartupError(f"{path} is damaged or is not an artifact of this project; {ADVICE}.") from None
    return module, calls, description
