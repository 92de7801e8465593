"""The client that other front ends take: the README's lines do what they say."""

import re

from tests.app.page.visits import Visits
from tests.app.support import ROOT, Server

EXAMPLE = re.compile(r"<!-- client -->\n```js\n(.*?)```", re.DOTALL)


def test_the_readmes_lines(visits: Visits, server: Server) -> None:
    found = EXAMPLE.search((ROOT / "README.md").read_text())
    assert found
    lines = re.sub(r"^import (.*) from (.*);", r"const \1 = await import(\2);", found[1])
    page = visits.open(server)
    printed: list[str] = []
    page.on("console", lambda message: printed.append(message.text))
    suggestions, scores = page.evaluate(f"async () => {{ {lines}; return [suggestions, scores]; }}")
    assert suggestions == server.post("/next-word", text="The food was ", k=3)["suggestions"]
    assert scores == server.post("/score", texts=["I loved it."], tokens=True)["scores"]
    assert "".join(printed) == server.post("/generate", stars=5, seed=7)["reviews"][0]["text"]


def test_what_goes_wrong_has_a_kind(visits: Visits, limited_server: Server) -> None:
    page = visits.open(limited_server, refusals=True)
    ask = """async ([path, key]) => {
        const { Client, Problem, Unreachable } = await import("/static/client.js");
        const client = new Client({ base: new URL(path, location.href), key });
        const signal = AbortSignal.timeout(60000);
        const word = client.nextWord({ text: "a".repeat(51) }, { signal });
        const outcomes = await Promise.allSettled([word, client.generate({ n: 5 }), client.model()]);
        return outcomes.map(({ reason: error }) => error && [error.name, error.status, error.type, error.message]);
    }"""
    text, n, model = page.evaluate(ask, ["/", "a-key-of-the-tests"])
    assert text == ["Problem", 422, "/problems/invalid-request", "text: has 51 characters, the limit is 50"]
    assert n == ["Problem", 422, "/problems/invalid-request", "n: has 5 reviews, the limit is 4"]
    assert model is None
    assert [each[:2] for each in page.evaluate(ask, ["/", "a-wrong-key"])] == [["Problem", 401]] * 3
    assert [each[:2] for each in page.evaluate(ask, ["/no/such/place/", "a-key-of-the-tests"])] == [
        ["Problem", 404]
    ] * 3
    page.context.set_offline(True)
    assert [each[0] for each in page.evaluate(ask, ["/", ""])] == ["Unreachable"] * 3


def test_letters_are_taken_apart_as_the_service_wants_them(visits: Visits, server: Server) -> None:
    page = visits.open(server)
    split = """async typed => {
        const { text, prefix } = (await import("/static/client.js")).splitWord(typed);
        return [text, prefix];
    }"""
    for typed, parts in {
        "": ["", ""],
        "The ": ["The ", ""],
        "The wai": ["The ", "wai"],
        "I don't": ["I ", "don't"],
        "ice-cr": ["", "ice-cr"],
        '("gre': ['("', "gre"],
        "'tis": ["'", "tis"],
        "at 5th": ["at 5th", ""],
        "good.": ["good.", ""],
        "crème brûl": ["crème ", "brûl"],
        "x" * 120: ["x" * 20, "x" * 100],
    }.items():
        assert page.evaluate(split, typed) == parts
