"""The model card: what an artifact is, how it was measured, and what it must not be used for.

After Mitchell et al. 2019, "Model Cards for Model Reporting". Every figure comes from `metrics.json`.
"""

from typing import Any

from training.evaluation_tables import evaluation_tables
from training.optimizers import METHODS

CELLS = {"lstm": "LSTM", "gru": "GRU", "elman": "Elman"}
CARD = """\
# {model}

A recurrent language model of reviews: {layers} {cell} layer{plural} of {hidden} hidden units over embeddings of
{embedding} numbers (shared by input and output), a byte-level BPE vocabulary of {vocabulary_size:,} tokens,
{parameters:,} parameters, served in int8. Created {created}.

## Trained on

{data}

{train_reviews:,} reviews ({train_words:,} words) for training, {valid_reviews:,} for validation, {test_reviews:,} for
the final figures. A rating from 1 to 5 stars opens each review where the source has one; {hidden_percent:.0f} % of the
training reviews hid theirs, so that the model writes with and without. Training took {minutes:.0f} minutes of
{device} over {tokens:,} tokens, {options}.{teachers}{calibration}

Yelp offers its reviews for academic and personal research; they must not be shown to third parties or published, and
this repository holds none. A model trained on them falls under the same purpose: research and teaching.

## Measured

Natural end marks are scored, ratings are given where known. Perplexity per word counts words and punctuation marks and
one end mark a review; `training/evaluate.py` has the formulas. Choices were made on the validation reviews; the test
reviews were measured once.

| split | reviews | bits per character | perplexity per word | perplexity per token \
| float32 bits per character | int8 changed |
|---|---|---|---|---|---|---|
{rows}

`python -m training evaluate --artifact model test.jsonl` measures the artifact again on a file of reviews{more}

## Not to be used for

- Passing generated reviews off as real ones, or publishing them where people read reviews as somebody's experience.
- Judging businesses or people: a probable sentence is not a true one, and names in it belong to nobody.
- Deciding who wrote a text.

It has read English reviews, mostly of restaurants, shops and services in North America, and repeats their habits and
prejudices. It can recite phrases that many reviews share. It knows no facts and is not to be trusted with any.
"""


def model_card(metrics: dict[str, Any]) -> str:
    """Returns the card as Markdown."""
    network, training, corpus = metrics["network"], metrics["training"], metrics["corpus"]
    return CARD.format(
        model=metrics["model"],
        created=metrics["created"],
        parameters=metrics["parameters"],
        vocabulary_size=metrics["vocabulary_size"],
        layers=network["layers"],
        plural="" if network["layers"] == 1 else "s",
        cell=CELLS[network["cell"]],
        hidden=network["hidden"],
        embedding=network["embedding"],
        data=training["data"],
        train_reviews=corpus["train"]["reviews"],
        train_words=corpus["train"]["words"],
        valid_reviews=corpus["valid"]["reviews"],
        test_reviews=corpus["test"]["reviews"],
        hidden_percent=100 * training["hidden_ratings"],
        minutes=training["seconds"] / 60,
        device=_device(training),
        tokens=training["tokens"],
        options=f"{METHODS[training['optimizer']].title} at {training['learning_rate']:g} falling to zero, "
        f"{training['lanes']} × {training['steps']} tokens an update",
        teachers="".join(_teacher(teacher, training["teachers_share"]) for teacher in training.get("teachers", [])),
        calibration=_calibration(metrics.get("calibration")),
        rows="\n".join(_row(split, quality) for split, quality in metrics["quality"].items()),
        more=_more(metrics["evaluation"]) if "evaluation" in metrics else ".",
    )


def _device(training: dict[str, Any]) -> str:
    """What it was trained on, in words."""
    device = training.get("device", "cpu")
    return "a processor" if device == "cpu" else f"one {device}"


def _teacher(teacher: dict[str, Any], share: float) -> str:
    size = f"{teacher['layers']} layers of {teacher['hidden']:,} {CELLS[teacher['cell']]} units"
    minutes = teacher["seconds"] / 60
    return f""" With a share of
{share:g} of the loss it learned the probabilities of a larger network (`training/distillation.py`): {size},
{teacher["parameters"]:,} parameters, itself trained for {minutes:.0f} minutes over {teacher["tokens"]:,} tokens."""


def _calibration(fitted: dict[str, Any] | None) -> str:
    if fitted is None:
        return ""
    return f""" What it then trusted too much was put
right on the first {fitted["reviews"]} validation reviews: temperature {fitted["temperature"]:g}, vectors of pairs and
triples of tokens × {fitted["pairs"]:g} and × {fitted["triples"]:g} (`training/calibration.py`)."""


def _more(evaluation: dict[str, Any]) -> str:
    return f""";
with `--full` it measures what follows, here on {evaluation["measured_on"]}.

{evaluation_tables(evaluation)}"""


def _row(split: str, quality: dict[str, Any]) -> str:
    served, floating = quality["int8"], quality["float32"]
    return (
        f"| {split} | {served['reviews']:,} | **{served['bits_per_character']:.4f}** "
        f"| {served['perplexity_per_word']:.2f} | {served['perplexity_per_token']:.2f} "
        f"| {floating['bits_per_character']:.4f} | {quality['int8_change_percent']:+.2f} % |"
    )
