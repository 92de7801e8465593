"""The README promises only what happens: its examples are run, its tables and figures checked.

REWRITE_EXAMPLES=1 writes the answers, figures and settings into the README anew, after a new artifact or a new setting.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings, variable
from tests.app.support import ROOT, Server

README = ROOT / "README.md"
EXAMPLE = re.compile(r"^\$ (curl .*)\n(.*)$", re.MULTILINE)
REWRITE = bool(os.environ.get("REWRITE_EXAMPLES"))


def _examples() -> list[tuple[str, str]]:
    return EXAMPLE.findall(README.read_text())


def _same(shown: Any, given: Any) -> bool:
    """Equal but for the last digits of floats, which depend on the processor's vector width, and what is cached."""
    if isinstance(shown, float) and isinstance(given, float):
        return math.isclose(shown, given, rel_tol=1e-3)
    if isinstance(shown, dict) and isinstance(given, dict):
        return shown.keys() == given.keys() and all(
            key == "cached_tokens" or _same(shown[key], given[key]) for key in shown
        )
    if isinstance(shown, list) and isinstance(given, list):
        return len(shown) == len(given) and all(_same(*pair) for pair in zip(shown, given, strict=True))
    return bool(shown == given)


def test_there_are_examples() -> None:
    assert len(_examples()) >= 5


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("command", "shown"), _examples())
def test_every_curl_line_gives_what_the_readme_shows(command: str, shown: str, server: Server) -> None:
    pasted = command.replace("localhost:8000", f"localhost:{server.port}")
    given = subprocess.run(pasted, shell=True, capture_output=True, text=True, check=True, timeout=60).stdout
    if REWRITE:
        README.write_text(README.read_text().replace(f"$ {command}\n{shown}", f"$ {command}\n{given.strip()}"))
    else:
        assert _same(json.loads(shown), json.loads(given)), given


def test_openais_client_answers_as_the_readme_says(server: Server, tmp_path: Path) -> None:
    match = re.search(r"<!-- openai -->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert match
    script = tmp_path / "example.py"
    script.write_text(match[1].replace("localhost:8000", f"localhost:{server.port}"))
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    text, scores = run.stdout.splitlines()
    asked = {"prompt": "The pizza", "max_tokens": 30, "seed": 7, "stars": 5, "temperature": 1, "top_p": 1}
    assert text == server.post("/generate", **asked)["reviews"][0]["text"]
    (scored,) = server.post("/score", texts=["I loved it."], tokens=True)["scores"]
    told = [token["log_probability"] for token in scored["token_scores"]]
    assert json.loads(scores.replace("None", "null")) == [None, *told[1:-1]]


def _settings() -> str:
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in ((), None) else f"`{field.default}`"
        rows.append(f"| `{variable(name)}` | {default} | {field.description} |")
    return "\n".join(rows)


METRICS = json.loads((ROOT / "model" / "metrics.json").read_text())


def _quality() -> str:
    test, training = METRICS["quality"]["test"]["int8"], METRICS["training"]
    (teacher,) = training["teachers"]
    return (
        f"| on {test['reviews']:,} reviews it has never seen | shipped model, int8 |\n|---|---|\n"
        f"| bits per character | **{test['bits_per_character']:.3f}** |\n"
        f"| perplexity per word | {test['perplexity_per_word']:.1f} |\n"
        f"| perplexity per token | {test['perplexity_per_token']:.1f} |\n\n"
        f"It was trained on {METRICS['corpus']['train']['reviews']:,} reviews "
        f"for {training['seconds'] / 60:.0f} minutes of one {training['device']}:\n"
        f"on their words, and on the probabilities of a network of {teacher['parameters'] / 1e6:.0f} million weights "
        f"that had been trained on them for {teacher['seconds'] / 60:.0f} minutes before."
    )


def _next_words() -> str:
    models = METRICS["evaluation"]["next_words"]
    figures = {
        "top-1 accuracy": "top_1_accuracy",
        "top-3 accuracy": "top_3_accuracy",
        "top-5 accuracy": "top_5_accuracy",
        "keystrokes saved by three suggestions": "keystroke_savings",
    }
    words = models["model"]["words"]
    return "\n".join(
        [
            f"| next words, {words:,} of them | {' | '.join('this model' if m == 'model' else m for m in models)} |",
            "|---" * (len(models) + 1) + "|",
            *(
                f"| {label} | {' | '.join(f'{model[figure]:.1%}' for model in models.values())} |"
                for label, figure in figures.items()
            ),
        ]
    )


def _comparison() -> str:
    rows = [
        f"| {'**' * model['ours']}{model['name']}{'**' * model['ours']} | {model['bits_per_character']:.3f} "
        f"| {model['perplexity_per_token']:.1f} | {model['minutes']:.1f} | {model['tokens'] / 1e6:.1f} M |"
        for model in METRICS["comparison"]
    ]
    head = "| trained side by side | bits per character | perplexity per token | minutes | tokens read |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


@pytest.mark.parametrize("part", [_settings, _quality, _next_words, _comparison])
def test_tables_and_figures_are_true(part: Callable[[], str]) -> None:
    name = part.__name__.removeprefix("_")
    whole = README.read_text()
    match = re.search(rf"(?<=<!-- {name} -->\n).*?(?=<!-- / -->)", whole, re.DOTALL)
    assert match
    if REWRITE:
        README.write_text(whole[: match.start()] + part() + "\n" + whole[match.end() :])
    else:
        assert match.group().strip() == part()


def test_every_file_that_is_linked_to_is_there() -> None:
    linked = re.findall(r'\]\(([^)#:]+)\)|(?:src|srcset)="([^":]+)"', README.read_text())
    paths = [either or other for either, other in linked]
    assert len([path for path in paths if path.endswith(".png")]) == 8 + 4  # views of the page, figures of the model
    assert [path for path in paths if not (ROOT / path).exists()] == []
