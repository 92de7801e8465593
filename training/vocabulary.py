"""The vocabulary: byte-level BPE over words that keep their apostrophes and carry their leading space.

Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units" (BPE, and the mark on a word's last
token); Radford et al. 2019 (on bytes). Any text goes in and comes back unchanged, so nothing is ever unknown and case
is kept.

The mark tells " great" the word from " great" the beginning of " greatly". So the probability of a word that is one
token is that token's, and whoever looks for the next word need not ask what would follow each candidate.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

UNKNOWN_RATING = 0
"""Token that opens a review whose rating is not told; tokens 1 to 5 open a review with that many stars."""
END = 6
"""Token that closes a review."""
SPECIAL_TOKENS = ["<stars:unknown>", *(f"<stars:{stars}>" for stars in range(1, 6)), "<end>"]
OPENINGS = range(END)
"""The opening tokens: always given, never predicted."""
MINIMUM_SIZE = len(SPECIAL_TOKENS) + 2 * 256
"""Every byte inside a word and at its end, and the special tokens."""
WORD_END = "</w>"
"""Ends the name of each token that is the last of its pre-token. No text is mistaken for it: in a token with `<` there
are no letters."""

# A pre-token is a word with its apostrophes, one digit, a run of punctuation (each with the space before it), or white
# space. The space before a word stays outside runs of white space, so that a word looks the same wherever it stands.
PRE_TOKEN = (  # which bandit takes for a password, for its name
    r" ?[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*"  # nosec B105
    r"| ?\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+"
    r"|\s+(?!\S)"
    r"|\s"
)


def learn_vocabulary(texts: Iterable[str], size: int) -> Tokenizer:
    """Learns a vocabulary of at most `size` tokens, from MINIMUM_SIZE up; the seven special ones come first."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_TOKEN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace(WORD_END, ""), decoders.ByteLevel()])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        # The trainer would only take in the bytes that some text ends a word with, and in no order.
        special_tokens=[*SPECIAL_TOKENS, *(byte + WORD_END for byte in alphabet)],
        initial_alphabet=alphabet,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    description = json.loads(tokenizer.to_str())
    # As "added tokens" the special ones would be recognised inside a review that happens to spell one. As plain
    # entries that no merge leads to, they can be reached by their number alone.
    description["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(description, ensure_ascii=False))


def save_vocabulary(tokenizer: Tokenizer, path: Path) -> None:
    path.write_text(tokenizer.to_str(pretty=False), encoding="utf-8")


def count_words(tokenizer: Tokenizer, text: str) -> int:
    """Counts the words and punctuation marks of a text: its pre-tokens other than white space."""
    return sum(1 for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(text) if text[start:end].strip())
