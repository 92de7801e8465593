import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.reviews import made_up_reviews, write_json_lines
from training.checkpoint import CHECKPOINT_FILE, load_network, read_checkpoint
from training.corpus import prepare_corpus
from training.distillation import Teachers, distilled_loss
from training.errors import TrainingError
from training.fit import Fit
from training.options import FitOptions
from training.softmax import full_softmax
from training.vocabulary import END

CPU = torch.device("cpu")
STEPS, LANES = 6, 4


def options(**changes: Any) -> FitOptions:
    small = {"embedding": 16, "hidden": 32, "lanes": LANES, "steps": 16, "negatives": 64, "warmup": 5, "epochs": 100}
    return FitOptions(**{**small, **changes})


def train(run: Fit, updates: int) -> list[float]:
    return list(itertools.islice(run.updates_forever(), updates))


def trained(corpus: Path, folder: Path, updates: int = 40, **changes: Any) -> Path:
    """The checkpoint of a network that has learned a little."""
    run = Fit(options(learning_rate=0.02, **changes), corpus)
    train(run, updates)
    folder.mkdir()
    run.save(folder / CHECKPOINT_FILE)
    return folder / CHECKPOINT_FILE


@pytest.fixture
def teacher(corpus: Path, tmp_path: Path) -> Path:
    return trained(corpus, tmp_path / "teacher", hidden=64)


@pytest.fixture
def softmax() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states `[N, E]`, targets, output weights `[V, E]` and a bias that rules openings out."""
    torch.manual_seed(1)
    bias = torch.randn(30)
    bias[:END] = -torch.inf
    return torch.randn(5, 8, requires_grad=True), torch.randint(END, 30, (5,)), torch.randn(30, 8), bias


def test_the_loss_is_its_formula(softmax: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    hidden, targets, embedding, bias = softmax
    taught = torch.rand(5, 30)
    taught[:, :END] = 0
    taught /= taught.sum(dim=1, keepdim=True)
    expected = 0.0
    for row, target in enumerate(targets.tolist()):
        logits = (embedding.double() @ hidden[row].detach().double() + bias).tolist()
        total = math.log(sum(math.exp(logit) for logit in logits))
        words = range(END, 30)
        by_teacher = -sum(taught[row, word].item() * (logits[word] - total) for word in words)
        expected += (0.25 * (total - logits[target]) + 0.75 * by_teacher) / 5
    assert distilled_loss(hidden, targets, embedding, bias, taught, 0.75).item() == pytest.approx(expected, rel=1e-5)


def test_openings_leave_the_gradient_finite(softmax: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    hidden, targets, embedding, bias = softmax
    taught = torch.softmax(torch.randn(5, 30) + bias, dim=1)
    distilled_loss(hidden, targets, embedding, bias, taught, 0.5).backward()
    assert hidden.grad is not None
    assert torch.isfinite(hidden.grad).all()
    assert hidden.grad.abs().sum() > 0


def test_teachers_who_are_sure_of_the_word_teach_what_the_word_does(
    softmax: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    hidden, targets, embedding, bias = softmax
    sure = torch.nn.functional.one_hot(targets, 30).float()
    plain = full_softmax(hidden, targets, embedding, bias)
    for share in (0.0, 0.3, 1.0):
        torch.testing.assert_close(distilled_loss(hidden, targets, embedding, bias, sure, share), plain)


def test_teachers_go_on_where_they_were_and_their_mean_is_told(corpus: Path, teacher: Path, tmp_path: Path) -> None:
    other = trained(corpus, tmp_path / "other", updates=20, cell="gru")
    networks = [load_network(path)[0] for path in (teacher, other)]
    tokens = torch.randint(END, networks[0].vocabulary_size, (2 * STEPS, LANES))
    everywhere = torch.arange(STEPS * LANES)
    teachers = Teachers([teacher, other], networks[0].vocabulary_size, LANES, CPU)
    parts = [teachers.probabilities(part, everywhere) for part in tokens.split(STEPS)]
    with torch.no_grad():
        each = [
            network.log_probabilities(network(tokens, network.initial_state(LANES))[0]).exp() for network in networks
        ]
    torch.testing.assert_close(torch.cat(parts), ((each[0] + each[1]) / 2).flatten(0, 1))


def test_only_the_places_that_count_are_told(teacher: Path) -> None:
    network, _ = load_network(teacher)
    tokens, counted = torch.randint(END, network.vocabulary_size, (STEPS, LANES)), torch.tensor([1, 5, 22])
    one, other = (Teachers([teacher], network.vocabulary_size, LANES, CPU) for _ in range(2))
    everything = one.probabilities(tokens, torch.arange(STEPS * LANES))
    torch.testing.assert_close(other.probabilities(tokens, counted), everything[counted])


def test_a_network_comes_to_give_its_teachers_probabilities(corpus: Path, teacher: Path) -> None:
    def distance(run: Fit) -> float:
        own, taught = run.network.eval(), load_network(teacher)[0]
        tokens = torch.from_numpy(run.valid_split.whole(0, 0.0, run.streams._random))[:-1, None]
        with torch.no_grad():
            p, q = (each.log_probabilities(each(tokens, each.initial_state(1))[0]) for each in (own, taught))
        return float((q.exp() * (q - p))[..., END:].sum(dim=-1).mean())

    run = Fit(options(teachers=[teacher], teachers_share=1.0, learning_rate=0.02), corpus)
    before = distance(run)
    train(run, 80)
    assert distance(run) < before / 4


def test_a_resumed_run_goes_on_with_its_teachers_to_the_bit(corpus: Path, teacher: Path, tmp_path: Path) -> None:
    unbroken = Fit(options(teachers=[teacher]), corpus)
    expected = train(unbroken, 20)
    broken = Fit(options(teachers=[teacher]), corpus)
    before = train(broken, 10)
    broken.save(tmp_path / CHECKPOINT_FILE)
    resumed = Fit.load(tmp_path / CHECKPOINT_FILE, corpus)
    assert before + train(resumed, 10) == expected


def test_a_checkpoint_tells_who_taught(corpus: Path, teacher: Path, tmp_path: Path) -> None:
    run = Fit(options(teachers=[teacher]), corpus)
    run.save(tmp_path / CHECKPOINT_FILE)
    (told,) = read_checkpoint(tmp_path / CHECKPOINT_FILE)["taught_by"]
    network, _ = load_network(teacher)
    assert told["parameters"] == sum(weight.numel() for weight in network.parameters())
    assert (told["cell"], told["layers"], told["embedding"], told["hidden"]) == ("lstm", 1, 16, 64)
    assert (told["updates"], told["tokens"]) == (40, 40 * 16 * LANES)


def test_a_teacher_of_another_vocabulary_is_refused(teacher: Path, tmp_path: Path) -> None:
    write_json_lines(tmp_path / "reviews.json", made_up_reviews(300, seed=3))
    sources = {"train": [tmp_path / "reviews.json"]}
    prepare_corpus(sources, tmp_path / "corpus", vocabulary_size=650, vocabulary_reviews=100, progress=False)
    with pytest.raises(TrainingError, match="another vocabulary than this corpus holds"):
        Fit(options(teachers=[teacher]), tmp_path / "corpus")
