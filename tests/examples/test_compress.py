"""What was packed comes back byte for byte, and is as small as the model says."""

import json
import math
from pathlib import Path

import compress as packing
import pytest
from arithmetic_coding import MAX_TOTAL, Decoder, Encoder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.language_model import LanguageModel, load_language_model
from app.scoring import encode
from tests.app.random_artifact import write_random_artifact
from tests.app.support import ARTIFACT, ROOT, run_alone, score_all


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load_language_model(ARTIFACT)


@st.composite
def messages(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """What shares add up to, and the shares of some symbols."""
    total = draw(st.sampled_from([1, 2, 3, 255, 2**24 + 16_000, MAX_TOTAL]))
    starts = st.integers(0, total - 1)
    return total, draw(st.lists(starts.flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, total)))))


@given(messages())
@example((2, [(0, 1), (1, 2)] * 50))
@example((3, [(1, 2)] * 200))
@example((MAX_TOTAL, [(0, 1), (MAX_TOTAL - 1, MAX_TOTAL), (0, MAX_TOTAL)] * 20))
def test_codes_are_read_back_and_no_longer_than_their_information(message: tuple[int, list[tuple[int, int]]]) -> None:
    total, shares = message
    encoder = Encoder()
    for start, end in shares:
        encoder.narrow(start, end, total)
    code = encoder.finish()
    bits = sum(math.log2(total / (end - start)) for start, end in shares)
    # A share is at least four numbers of the interval, which rounding makes one smaller at the most.
    assert 8 * len(code) <= bits + 0.42 * len(shares) + 9
    decoder = Decoder(code)
    for start, end in shares:
        assert start <= decoder.target(total) < end
        decoder.narrow(start, end, total)


@settings(max_examples=40)
@given(st.text(max_size=30))
@example("")
@example("The food was great 😋🍕, don’t miss it!\r\n\r\n\tÀ bientôt\x00")
@example("<end><stars:5></w> ĠĊ \ufeff\u200b  ")
def test_text_of_any_kind_comes_back(model: LanguageModel, text: str) -> None:
    content = text.encode()
    assert packing.decompress(model, packing.compress(model, content)) == content


def test_the_size_is_the_models_cross_entropy(model: LanguageModel) -> None:
    text = "We waited an hour for a table, and then the kitchen had run out of almost everything on the menu."
    (scored,) = run_alone(model, score_all(model, [text], None, ranks=False))
    bits = -scored.log_probability / math.log(2)
    code = len(packing.compress(model, text.encode())) - packing.CHECK_BYTES
    assert bits - 8 <= 8 * code <= bits * 1.01 + 9
    assert len(encode(model, [text])[0].tokens) > 15


def test_what_is_damaged_or_another_models_is_refused(model: LanguageModel, tmp_path: Path) -> None:
    data = packing.compress(model, b"The noodles were cold but the broth was lovely.")
    write_random_artifact(tmp_path)
    for wrong in (b"", data[:6], data[:-3] + b"abc", b"\x00" + data[1:]):
        with pytest.raises(ValueError, match=r"damaged|too early"):
            packing.decompress(model, wrong)
    with pytest.raises(ValueError, match=r"damaged|too early"):
        packing.decompress(load_language_model(tmp_path), data)


def test_files_are_packed_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*command: str) -> None:
        monkeypatch.setattr("sys.argv", ["compress.py", command[0], *(str(tmp_path / name) for name in command[1:])])
        packing.main()

    (tmp_path / "text").write_bytes("Crème brûlée 🍮\r\nwas ok.\n".encode())
    run("pack", "text", "packed")
    run("unpack", "packed", "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "text").read_bytes()
    (tmp_path / "latin").write_bytes("crème".encode("latin-1"))
    with pytest.raises(SystemExit, match="is not UTF-8"):
        run("pack", "latin", "nothing")
    with pytest.raises(SystemExit, match="No such file"):
        run("pack", "missing", "nothing")
    assert not (tmp_path / "nothing").exists()


def test_the_table_on_reviews_is_of_the_model_that_is_shipped() -> None:
    page = (ROOT / "docs" / "applications.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("| this model, each review alone |")]
    shown = float(row.split("|")[3])
    measured = json.loads((ARTIFACT / "metrics.json").read_text())["quality"]["test"]["int8"]["bits_per_character"]
    # The checksum and the last byte of each review add to what was measured; 400 reviews are not all 4,000.
    assert measured < shown < measured * 1.1
