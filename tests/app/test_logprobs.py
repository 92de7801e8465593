import pytest
import torch

from app.language_model import LanguageModel
from app.logprobs import TokenLogprob, prompt_logprobs, told, written
from app.scoring import encode
from tests.app.support import run_alone, run_together, score_all

TEXTS = ["Crème brûlée 😀", "", "We waited.", "Nobody said a word about it. " * 9]


def test_tokens_are_written_as_their_text_or_their_bytes_or_their_name(model: LanguageModel) -> None:
    vocabulary = model.vocabulary
    assert [written(vocabulary, token) for token in vocabulary.encode("It was 😀.")] == [
        "It", " was", " ", "bytes:\\xf0", "bytes:\\x9f", "bytes:\\x98", "bytes:\\x80", ".",
    ]  # fmt: skip
    assert written(vocabulary, vocabulary.end) == "<end>"
    (was,) = vocabulary.encode(" was")
    assert written(vocabulary, was, spaced=True) == "was"
    partly = [token for token, piece in enumerate(vocabulary.token_bytes) if piece == b" \xc3"]
    assert {written(vocabulary, token) for token in partly} <= {"bytes: \\xc3"}
    assert len({written(vocabulary, token) for token in range(vocabulary.size)}) == len(set(vocabulary.token_bytes)) + 6


def test_of_tokens_that_are_written_alike_the_likelier_is_told_and_always_the_one_that_is_there(
    model: LanguageModel,
) -> None:
    vocabulary = model.vocabulary
    (was,) = vocabulary.encode(" was")
    (inside,) = (t for t, piece in enumerate(vocabulary.token_bytes) if piece == b" was" and t != was)
    (here,) = vocabulary.encode("here")
    top = [(was, -1.0), (inside, -2.0)]
    assert told(vocabulary, here, -3.0, top, 5).top == {" was": -1.0, "here": -3.0}
    assert told(vocabulary, inside, -2.0, top, 5).top == {" was": -2.0}
    assert told(vocabulary, was, -1.0, [], 5) == TokenLogprob(" was", 5, -1.0, None)


@pytest.mark.parametrize("stars", [None, 4])
@pytest.mark.parametrize("top", [0, 1, 5])
def test_prompts_have_the_log_probabilities_of_their_score(model: LanguageModel, top: int, stars: int | None) -> None:
    scored = run_alone(model, score_all(model, TEXTS, stars, False))
    prompts = run_alone(model, prompt_logprobs(model, encode(model, TEXTS), stars, top))
    for prompt, text in zip(prompts, scored, strict=True):
        places = [(token.start, token.log_probability) for token in text.tokens[:-1]]
        assert [(token.offset, token.log_probability) for token in prompt] == places
    assert run_together(model, [prompt_logprobs(model, encode(model, [text]), stars, top) for text in TEXTS]) == [
        [prompt] for prompt in prompts
    ]


def test_the_most_probable_tokens_are_told(model: LanguageModel) -> None:
    ((first, second, *_),) = run_alone(model, prompt_logprobs(model, encode(model, ["The food was"]), 5, 3))
    vocabulary = model.vocabulary
    log_probabilities, state = model.step(torch.tensor([vocabulary.opening(5)]), model.initial_state(1))
    for token, place in zip((first, second), vocabulary.encode("The food"), strict=True):
        values, best = log_probabilities[0].sort(descending=True)
        expected = [written(vocabulary, each) for each in best[:3].tolist()]
        assert token.top is not None
        assert [text for text in token.top if text in expected] == expected
        assert [token.top[text] for text in expected] == values[:3].tolist()
        assert token.top[token.text] == token.log_probability == float(log_probabilities[0, place])
        assert len(token.top) == len({*expected, token.text})
        log_probabilities, state = model.step(torch.tensor([place]), state)
