"""Fitting the transformer, with all that helps the LSTM it is compared with: ratings, sampled softmax, schedule."""

import math
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.quality.results import Trained
from benchmarks.quality.training_time import TrainingTime
from benchmarks.quality.transformer import Transformer, TransformerShape, transformer_scorer
from benchmarks.quality.windows import WindowBatches
from training.corpus import Split, corpus_vocabulary
from training.errors import TrainingError
from training.softmax import SampledSoftmax, full_softmax


class TransformerOptions(TransformerShape):
    batch_tokens: int = Field(1536, ge=1, description="tokens of an update, at most (one review, if that has more)")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate of AdamW")
    warmup: int = Field(200, ge=0, description="updates over which the learning rate rises to its peak")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of AdamW")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    negatives: int = Field(1024, ge=0, description="shared negatives of the sampled softmax; 0 takes the full softmax")
    hidden_ratings: float = Field(0.3, ge=0, le=1, description="share of reviews that hide their rating in training")
    seed: int = Field(1, ge=0, description="of initial weights, order of reviews and negatives")


class TransformerFit:
    """A training run of the transformer: network, optimiser and loss."""

    def __init__(self, options: TransformerOptions, train: Split, vocabulary_size: int) -> None:
        torch.manual_seed(options.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.options, self.updates = options, 0
        self.network = Transformer(options, vocabulary_size).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=options.weight_decay,
            fused=True,
        )  # fmt: skip
        counts = train.target_counts(vocabulary_size)
        self.loss = (
            SampledSoftmax(counts.to(self.device), options.negatives, options.seed)
            if options.negatives
            else full_softmax
        )

    def update(self, inputs: Tensor, targets: Tensor, progress: float) -> float:
        """Makes one update with `inputs` and `targets [B, T]`, at a `progress` of 0 to 1; returns its loss in nats."""
        self.network.train()
        self.optimizer.param_groups[0]["lr"] = self.options.learning_rate * self.schedule(progress)
        inputs, targets = inputs.to(self.device), targets.to(self.device)
        counted = targets >= 0
        hidden = self.network(inputs)[counted]
        loss: Tensor = self.loss(hidden, targets[counted], self.network.embedding, self.network.output_bias)
        if not math.isfinite(value := loss.item()):
            raise TrainingError(f"The loss became {value}; lower --learning-rate and train again.")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip)
        self.optimizer.step()
        self.updates += 1
        return value

    def schedule(self, progress: float) -> float:
        """Share of the peak learning rate: a linear rise, then a linear fall that ends at zero with the run."""
        return min(1.0, (self.updates + 1) / (self.options.warmup + 1)) * (1 - progress)


def train_transformer(options: TransformerOptions, corpus: Path, minutes: float) -> Trained:
    split = Split(corpus, "train")
    fit = TransformerFit(options, split, corpus_vocabulary(corpus).get_vocab_size())
    batches = WindowBatches(split, options.context, options.batch_tokens, options.hidden_ratings, options.seed)
    time, tokens, average = TrainingTime(minutes), 0, math.nan
    with tqdm(total=100, unit="%", desc="training", disable=None) as bar:
        for inputs, targets in batches:
            with time.running():
                loss = fit.update(inputs, targets, time.share)
            tokens += int((targets >= 0).sum())
            average = loss if math.isnan(average) else 0.99 * average + 0.01 * loss
            bar.n = round(100 * time.share, 2)
            bar.set_postfix_str(f"perplexity {math.exp(average):.1f} per token", refresh=False)
            bar.update(0)
            if time.share == 1:
                break
    parameters = sum(parameter.numel() for parameter in fit.network.parameters())
    return Trained(transformer_scorer(fit.network), parameters, 0, tokens, time.seconds, options.model_dump())
