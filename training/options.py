"""Options of the command line: those of a training run, and the folders that several commands share."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from training.network import NetworkOptions
from training.optimizers import DECOUPLED, METHODS, OptimizerName, suited_rate

RATES = ", ".join(f"{name} {method.learning_rate:g}" for name, method in METHODS.items())


class CorpusFolder(BaseModel):
    corpus: Path = Field(Path("corpus"), description="folder of the prepared corpus")


class RunFolder(BaseModel):
    run: Path = Field(Path("runs/default"), description="folder of the training run and its checkpoint")


class FitOptions(NetworkOptions):
    """Everything that decides what a training run computes; saved in its checkpoint."""

    epochs: float = Field(4.0, gt=0, description="passes over the corpus")
    minutes: float | None = Field(None, gt=0, description="finish within this time, even before all epochs")
    lanes: int = Field(32, ge=1, description="parallel streams of reviews in a batch (B), of all processes together")
    steps: int = Field(48, ge=1, description="steps of truncated back-propagation through time (T)")
    start: Path | None = Field(
        None, description="checkpoint of another run over the same vocabulary, to start from its weights"
    )
    embeddings: Path | None = Field(
        None, description="file of pre-trained embeddings, .npz or the text of word2vec and GloVe, to start from"
    )
    freeze_embeddings: bool = Field(
        False, description="leave the embeddings as they start, at the input and, as they are shared, in the softmax"
    )
    optimizer: OptimizerName = Field("adamw", description="trains all weights but the n-grams' vectors")
    learning_rate: float = Field(
        default_factory=suited_rate, gt=0, description=f"peak learning rate of the optimizer; without it {RATES}"
    )
    table_rate: float = Field(
        0.05, gt=0, description="peak learning rate of Adagrad, which trains the n-grams' vectors"
    )
    decay: float = Field(
        1.0, gt=0, le=1, description="share of the run, at its end, over which the learning rate falls to zero"
    )
    warmup: int = Field(200, ge=0, description="updates over which the learning rate rises to its peak")
    weight_decay: float = Field(
        0.0, ge=0, description="decoupled weight decay of adamw and muon, a share of the learning rate"
    )
    l2: float = Field(
        0.0, ge=0, description="half of this times the squared weights is added to the loss (L2 regularisation)"
    )
    clip: float = Field(
        1.0, ge=0, description="largest norm of the gradient; a longer one is scaled down to it; 0 does not clip"
    )
    negatives: int = Field(1024, ge=0, description="shared negatives of the sampled softmax; 0 takes the full softmax")
    full_softmax_share: float = Field(
        0.0, ge=0, le=1, description="share of the run, at its end, that takes the full softmax in spite of negatives"
    )
    teachers: list[Path] = Field(
        [],
        description="checkpoints of larger networks over the same vocabulary, whose probabilities are learned, too "
        "(distillation); takes the full softmax",
    )
    teachers_share: float = Field(
        0.9, ge=0, le=1, description="share of the loss that is by the teachers' probabilities, if there are any"
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of a running average of the weights, which is validated and exported in their place",
    )
    hidden_ratings: float = Field(0.3, ge=0, le=1, description="share of reviews that hide their rating in training")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the products outside the recurrence; measure which is faster on your processor"
    )
    seed: int = Field(1, ge=0, description="of initial weights, order of reviews, negatives and dropout")

    @field_validator("weight_decay")
    @classmethod
    def _decay_is_decoupled(cls, weight_decay: float, known: ValidationInfo) -> float:
        if weight_decay and known.data.get("optimizer", DECOUPLED[0]) not in DECOUPLED:
            raise PydanticCustomError("no_decay", "Only adamw and muon decouple it; give --l2 to the other optimizers")
        return weight_decay
