"""The lecture's first assignment: rating classifiers, beside the language model that is read by Bayes' rule."""

import time

import torch

from training.baselines.classifiers import (
    PATIENCE,
    Bags,
    RatingClassifier,
    Weighed,
    error,
    inverse_document_frequency,
    mean_weights,
    tf_idf,
    train_classifier,
)
from training.baselines.losses import ClassLoss, cross_entropy, multiclass_hinge, squared_error
from training.export import read_metrics
from training.lecture.part import Ground, Result, Section, Table

EMBEDDING = 128
LOSSES: dict[str, ClassLoss] = {
    "cross entropy": cross_entropy,
    "multi-class hinge": multiclass_hinge,
    "squared error": squared_error,
}


def ratings(ground: Ground, seconds: float) -> Result:
    """Trains both classifiers with each loss; reads what `evaluate --full` has found of the artifact."""
    started, size = time.process_time(), ground.vocabulary_size
    bags = {name: Bags.read(ground.split(name), size) for name in ("train", "valid", "test")}
    idf = inverse_document_frequency(bags["train"], size)
    inputs = {
        "tf-idf": (None, {name: Weighed(each, tf_idf(each, idf)) for name, each in bags.items()}),
        "embedding": (EMBEDDING, {name: Weighed(each, mean_weights(each)) for name, each in bags.items()}),
    }
    most = int(torch.bincount(bags["train"].targets).argmax())
    always = float((bags["test"].targets == most).double().mean())
    rows = [[f"always {most + 1} stars", "", "–", "0", f"{always:.1%}"]]
    for kind, (embedding, data) in inputs.items():
        for name, loss in LOSSES.items():
            model = RatingClassifier(size, embedding, torch.Generator().manual_seed(1))
            share = seconds / len(inputs) / len(LOSSES)
            trained = train_classifier(model, loss, data["train"], data["valid"], share)
            right = 1 - error(trained.model, data["test"])
            parameters = sum(weight.numel() for weight in model.parameters())
            rows.append(
                [f"{kind} → fully connected", name, f"{parameters:,}", f"{trained.seconds:.0f}", f"{right:.1%}"]
            )
    rows += _by_bayes(ground, len(bags["test"]))
    text = (
        f"Accuracy (1 - the 0/1 loss) on the {len(bags['test']):,} test reviews that have a rating, of classifiers "
        f"that are trained for it, each until {PATIENCE} passes have made nothing better on the validation reviews, or "
        "its time is up; and of the language model that this project serves, which nobody trained to classify: the "
        "rating under which a review is most probable, times the rating's own share of the training reviews."
    )
    return Result(
        seconds=time.process_time() - started,
        sections=[
            Section(
                title="Telling a review's rating",
                text=text,
                tables=[Table(columns=["model", "loss", "parameters", "seconds", "accuracy"], rows=rows)],
            )
        ],
    )


def _by_bayes(ground: Ground, reviews: int) -> list[list[str]]:
    """The row of the artifact, if the full evaluation has read the same reviews with it."""
    metrics = read_metrics(ground.artifact)
    evaluation = metrics.get("evaluation", {})
    recognised = evaluation.get("ratings", {}).get("recognised", {})
    if evaluation.get("measured_on") != "the test reviews" or recognised["rated_reviews"] != reviews:
        return []
    return [
        [
            f"language model {metrics['model']}, by Bayes",
            "cross entropy of the next token",
            f"{metrics['parameters']:,}",
            f"{metrics['training']['seconds']:,.0f}",
            f"{recognised['ratings_as_in_training']:.1%}",
        ]
    ]
