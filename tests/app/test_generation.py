import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls import Advance, Advanced, Decode, Decoded, Task
from app.generation import FinishReason, Generation, GenerationSettings, generate
from app.language_model import LanguageModel
from app.logprobs import TokenLogprob
from app.sampling import Chosen, SamplingSettings, choose
from tests.app.support import run_alone, run_together

Event = tuple[int, str, FinishReason | None]
TEXT = st.text(st.sampled_from("ab c😀é\n"), min_size=1, max_size=30)


def wanted(
    n: int = 1,
    max_tokens: int = 1000,
    stop: Sequence[str] = (),
    seed: int = 7,
    sampling: SamplingSettings = SamplingSettings(),  # noqa: B008 - it is frozen
) -> GenerationSettings:
    return GenerationSettings(n, max_tokens, sampling, stop, seed)


def write(model: LanguageModel, prompt: str, asked: GenerationSettings, stars: int | None = None) -> Generation:
    return run_alone(model, generate(model, prompt, stars, asked))


def dictate(
    model: LanguageModel,
    tokens: list[int],
    asked: GenerationSettings,
    prompt: str = "",
    told: list[Sequence[TokenLogprob]] | None = None,
) -> tuple[Generation, list[Event]]:
    """Answers a generation with these tokens, in the engine's place; returns it and what it told on the way.

    The tokens that it told are added to `told`.
    """
    events: list[Event] = []

    def emit(index: int, text: str, reason: FinishReason | None, tokens: Sequence[TokenLogprob]) -> None:
        events.append((index, text, reason))
        if told is not None:
            told.append(tokens)

    task = generate(model, prompt, None, asked, emit)
    call = next(task)
    try:
        for token in tokens:
            chosen = Chosen([token], [-1.0])
            if isinstance(call, Advance):
                call = task.send(Advanced([torch.zeros(model.vocabulary.size)], call.states, chosen=chosen))
            else:
                assert isinstance(call, Decode)
                call = task.send(Decoded([chosen], call.states))
    except StopIteration as finished:
        return finished.value, events
    raise AssertionError("the generation did not end")


def byte_tokens(model: LanguageModel, text: str) -> list[int]:
    """A text spelled byte by byte, so that its characters come in pieces."""
    ends = model.vocabulary.ends_part
    token_of = {piece: token for token, piece in enumerate(model.vocabulary.token_bytes) if not ends[token]}
    return [token_of[bytes([byte])] for byte in text.encode()]


@dataclass
class Played:
    """What a task chose when it was played with the model, one call after another."""

    result: Generation
    tokens: list[list[int]] = field(default_factory=list)


def play(model: LanguageModel, task: Task[Generation], rows: int) -> Played:
    tokens: list[list[int]] = [[] for _ in range(rows)]
    answer: Advanced | Decoded | None = None
    running = list(range(rows))
    while True:
        try:
            call = task.send(answer)
        except StopIteration as finished:
            return Played(finished.value, tokens)
        if isinstance(call, Advance):
            lengths = torch.tensor([len(row) for row in call.tokens])
            log_probabilities, state = model.advance(torch.tensor(call.tokens), lengths, torch.stack(list(call.states)))
            chosen = choose(log_probabilities.expand(rows, -1), call.draws)
            answer = Advanced(log_probabilities.unbind(0), state.unbind(0), chosen=chosen)
        else:
            assert isinstance(call, Decode)
            running = [row for row in running if tokens[row][-1] != model.vocabulary.end]
            log_probabilities, state = model.step(torch.tensor(call.tokens), torch.stack(list(call.states)))
            chosen = choose(log_probabilities, call.rows)
            answer = Decoded([chosen], state.unbind(0))
        for row, token in zip(running, chosen.tokens, strict=True):
            tokens[row].append(token)


def assert_told_whole(written: Generation, events: list[Event]) -> None:
    """What was told piece by piece is the whole text, and its end was told once, at last."""
    (review,) = written.reviews
    assert "".join(text for _, text, _ in events) == review.text
    assert [reason for _, _, reason in events if reason] == [review.finish_reason]
    assert events[-1][2] == review.finish_reason


def test_the_same_seed_gives_the_same_text(model: LanguageModel) -> None:
    first, again = (write(model, "The", wanted(n=2, max_tokens=30)) for _ in range(2))
    assert first == again
    assert first != write(model, "The", wanted(n=2, max_tokens=30, seed=8))


def test_the_same_seed_gives_the_same_text_among_others(model: LanguageModel) -> None:
    alone = write(model, "The", wanted(max_tokens=30), stars=4)
    seeds = [1, 2, 7, 3, 4]
    together = run_together(model, [generate(model, "The", 4, wanted(max_tokens=30, seed=seed)) for seed in seeds])
    assert together[2] == alone


def test_reviews_differ_and_do_not_depend_on_how_many_are_written(model: LanguageModel) -> None:
    many = write(model, "The food", wanted(n=6, max_tokens=25)).reviews
    assert len({review.text for review in many}) == 6
    assert write(model, "The food", wanted(n=3, max_tokens=25)).reviews == many[:3]


def test_the_rating_conditions_the_text(model: LanguageModel) -> None:
    texts = {write(model, "", wanted(max_tokens=20), stars=stars).reviews[0].text for stars in (None, 1, 5)}
    assert len(texts) == 3


def test_temperature_zero_follows_the_most_probable_tokens(model: LanguageModel) -> None:
    greedy = SamplingSettings(temperature=0.0)
    texts = {write(model, "The", wanted(seed=seed, max_tokens=12, sampling=greedy)).reviews[0].text for seed in (1, 2)}
    vocabulary = model.vocabulary
    token, state, expected = vocabulary.opening(None), model.initial_state(1), b""
    for following in [*vocabulary.encode("The"), None, *[None] * 11]:
        log_probabilities, state = model.step(torch.tensor([token]), state)
        token = int(log_probabilities.argmax()) if following is None else following
        expected += b"" if following is not None else vocabulary.token_bytes[token]
    log_probabilities, _ = model.step(torch.tensor([token]), state)
    assert vocabulary.end not in (token, int(log_probabilities.argmax()))
    assert {text[: len(expected.decode())] for text in texts} == {expected.decode()}


def test_text_continues_the_prompt_and_does_not_repeat_it(model: LanguageModel) -> None:
    great = model.vocabulary.encode(" great")
    written, events = dictate(model, [*great, model.vocabulary.end], wanted(), prompt="The food was")
    assert written.reviews[0].text == " great"
    assert written.prompt_tokens == 1 + len(model.vocabulary.encode("The food was"))
    assert_told_whole(written, events)


def test_the_space_at_the_prompts_end_is_the_next_words_own(model: LanguageModel) -> None:
    great = model.vocabulary.encode(" great great")
    written, _ = dictate(model, [*great, model.vocabulary.end], wanted(), prompt="The food was ")
    assert written.reviews[0].text == "great great"
    (without,), (spaced,) = (write(model, prompt, wanted(max_tokens=9)).reviews for prompt in ("The", "The "))
    assert spaced.text == without.text.removeprefix(" ")


@pytest.mark.parametrize(
    ("text", "max_tokens", "stop", "told", "reason"),
    [
        ("good food", 1000, [], "good food", "end"),
        ("good food", 4, [], "good", "length"),
        ("good food", 9, [], "good food", "length"),
        ("good food", 10, [], "good food", "end"),
        ("good food", 1000, ["d f"], "goo", "stop"),
        ("good food", 7, ["d f"], "goo", "stop"),
        ("good food", 6, ["d f"], "goo", "stop"),
        ("good food", 5, ["d f"], "good ", "length"),
        ("good food", 1000, ["good food!"], "good food", "end"),
        ("good food", 1000, ["g"], "", "stop"),
        ("", 1000, ["g"], "", "end"),
    ],
)
def test_finish_reasons(
    model: LanguageModel, text: str, max_tokens: int, stop: list[str], told: str, reason: FinishReason
) -> None:
    tokens = [*byte_tokens(model, text), model.vocabulary.end]
    written, events = dictate(model, tokens, wanted(max_tokens=max_tokens, stop=stop))
    (review,) = written.reviews
    assert (review.text, review.finish_reason) == (told, reason)
    until_stop = len(told) + len(stop[0]) if reason == "stop" else len(tokens)
    assert review.tokens == min(max_tokens, until_stop)
    assert review.log_probability == -1.0 * review.tokens
    assert_told_whole(written, events)


@given(text=TEXT, data=st.data(), in_bytes=st.booleans())
def test_a_stop_string_ends_the_text_before_it(
    model: LanguageModel, text: str, data: st.DataObject, in_bytes: bool
) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    stop = text[start : data.draw(st.integers(start + 1, len(text)))]
    tokens = byte_tokens(model, text) if in_bytes else model.vocabulary.encode(text)
    written, events = dictate(model, [*tokens, model.vocabulary.end], wanted(stop=[stop]))
    assert written.reviews[0].text == text[: text.find(stop)]
    assert written.reviews[0].finish_reason == "stop"
    assert_told_whole(written, events)


@given(text=TEXT, stops=st.lists(st.text(st.sampled_from("ab c😀é"), min_size=1, max_size=4), max_size=4))
def test_of_several_stop_strings_the_first_complete_one_counts(
    model: LanguageModel, text: str, stops: list[str]
) -> None:
    expected, reason = text, "end"
    for end in range(1, len(text) + 1):
        if complete := [stop for stop in stops if text[:end].endswith(stop)]:
            expected, reason = text[: end - max(map(len, complete))], "stop"
            break
    written, events = dictate(model, [*byte_tokens(model, text), model.vocabulary.end], wanted(stop=stops))
    assert (written.reviews[0].text, written.reviews[0].finish_reason) == (expected, reason)
    assert_told_whole(written, events)


@given(text=TEXT)
def test_characters_are_never_split(model: LanguageModel, text: str) -> None:
    tokens = byte_tokens(model, text)
    written, events = dictate(model, tokens, wanted(max_tokens=len(tokens)))
    assert_told_whole(written, events)
    assert [piece for _, piece, _ in events if piece] == list(text)  # each as soon as it is whole
    cut, events = dictate(model, tokens, wanted(max_tokens=max(1, len(tokens) - 1)))
    assert cut.reviews[0].text == (text[:-1] if len(tokens) > 1 else text)
    assert_told_whole(cut, events)


def test_text_is_told_as_soon_as_it_is_certain(model: LanguageModel) -> None:
    tokens = [*byte_tokens(model, "abcd"), model.vocabulary.end]
    _, events = dictate(model, tokens, wanted(stop=["bx", "cdx"]))
    assert events == [(0, "a", None), (0, "b", None), (0, "cd", "end")]


@given(text=TEXT, stop=st.lists(st.text(st.sampled_from("ab c😀é"), min_size=1, max_size=3), max_size=2))
def test_every_token_is_told_with_the_text_that_it_begins_in(model: LanguageModel, text: str, stop: list[str]) -> None:
    tokens = [*byte_tokens(model, text), model.vocabulary.end]
    asked = GenerationSettings(1, 1000, SamplingSettings(), stop, 7, logprobs=0)
    pieces: list[Sequence[TokenLogprob]] = []
    written, _ = dictate(model, tokens, asked, prompt="So: ", told=pieces)
    (review,) = written.reviews
    assert [token for piece in pieces for token in piece] == list(review.told)
    assert len(review.told) == review.tokens
    starts = [4 + place for place, character in enumerate(text) for _ in character.encode()]
    spaced = text.startswith(" ")  # the prompt has this space already
    expected = [place - (spaced and place > 4) for place in [*starts, 4 + len(text)]]
    assert [token.offset for token in review.told] == expected[: review.tokens]


def test_one_token(model: LanguageModel) -> None:
    written = write(model, "The food", wanted(n=3, max_tokens=1))
    assert [review.tokens for review in written.reviews] == [1, 1, 1]
    assert {review.finish_reason for review in written.reviews} <= {"length", "end"}


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**53 - 1), temperature=st.sampled_from([0.0, 0.8, 1.5]))
def test_log_probability_is_that_of_the_tokens_under_the_model(
    model: LanguageModel, seed: int, temperature: float
) -> None:
    asked = wanted(n=2, max_tokens=15, seed=seed, sampling=SamplingSettings(temperature, top_p=0.9))
    played = play(model, generate(model, "We were", 2, asked), 2)
    assert run_alone(model, generate(model, "We were", 2, asked)) == played.result
    prompt = torch.tensor([[model.vocabulary.opening(2), *model.vocabulary.encode("We were")]])
    _, state = model.advance(prompt, torch.tensor([prompt.shape[1]]), model.initial_state(1))
    for review, tokens in zip(played.result.reviews, played.tokens, strict=True):
        scores, _, _ = model.score(torch.tensor([tokens]), torch.tensor([len(tokens)]), state, False)
        assert review.log_probability == pytest.approx(float(scores.double().sum()), rel=1e-12)
        assert review.tokens == len(tokens)
        pieces = b"".join(model.vocabulary.token_bytes[token] for token in tokens)
        assert review.text == codecs.getincrementaldecoder("utf-8")("replace").decode(pieces)
