"""The embeddings of the shipped network in a plane, as the lecture shows those of its models.

The two directions in which the vectors of the WORDS most frequent words differ most, all scaled to the length 1
(principal components: Pearson 1901). Words used alike lie near each other.
"""

import torch

from training.baselines.word_vectors import plane
from training.export import load_artifact
from training.lecture.part import Ground, Plot, Result, Section

WORDS = 90
LETTERS = 4
"""At least: shorter words are for the most part grammar."""


def embedding_map(ground: Ground, seconds: float) -> Result:
    module, tokenizer = load_artifact(ground.artifact)
    texts = [tokenizer.decode([token]) for token in range(tokenizer.get_vocab_size())]
    counts = ground.training().target_counts(len(texts))
    whole = [text.startswith(" ") and text[1:].islower() and text[1:].isalpha() for text in texts]
    ends = [str(tokenizer.id_to_token(token)).endswith("</w>") for token in range(len(texts))]
    eligible = torch.tensor([w and e and len(t) > LETTERS for w, e, t in zip(whole, ends, texts, strict=True)])
    tokens = (counts * eligible).argsort(descending=True, stable=True)[: min(WORDS, int(eligible.sum()))]
    places = plane(module.inputs[tokens].float())
    plot = Plot(
        name="embeddings",
        title="Embeddings of frequent words in the shipped network",
        across="first principal component",
        up="second",
        kind="points",
        series={"words": [(round(x, 4), round(y, 4)) for x, y in places.tolist()]},
        labels={"words": [texts[token].strip() for token in tokens.tolist()]},
    )
    text = (
        f"The {len(tokens)} most frequent words of {LETTERS} letters or more, in the two directions in which their "
        "embeddings differ most."
    )
    return Result(sections=[Section(title="Embeddings in a plane", text=text, plots=[plot])])
