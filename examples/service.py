"""The service as the examples ask it: over one connection, and with a sentence where it cannot answer."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

import httpx


def parser(about: str | None) -> ArgumentParser:
    """The command line of an example, which its docstring is `about`."""
    arguments = ArgumentParser(description=(about or "").partition("\n")[0])
    arguments.add_argument("--url", default="http://localhost:8000", help="where the service listens")
    arguments.add_argument("--key", help="its API key, if it asks for one")
    return arguments


class Service:
    """Calls of the service; each ends the program with what is wrong if it fails."""

    def __init__(self, arguments: Namespace) -> None:
        headers = {"Authorization": f"Bearer {arguments.key}"} if arguments.key else {}
        self.client = httpx.Client(base_url=arguments.url, headers=headers, timeout=60)
        self._texts = int(self._answer("GET", "/model")["limits"]["max_texts"])

    def post(self, path: str, **body: Any) -> Any:
        return self._answer("POST", path, json=body)

    def scores(self, texts: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """What `/score` says of each text, however many there are."""
        batches = [texts[start : start + self._texts] for start in range(0, len(texts), self._texts)]
        return [score for batch in batches for score in self.post("/score", texts=batch, **options)["scores"]]

    def log_probabilities(self, texts: Sequence[str], **options: Any) -> list[float]:
        """Of each text and its end mark; natural."""
        return [score["log_probability"] for score in self.scores(texts, **options)]

    def _answer(self, method: str, path: str, **content: Any) -> Any:
        try:
            response = self.client.request(method, path, **content)
            if response.is_success:
                return response.json()
            problem = response.json()["detail"]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
            raise SystemExit(
                f"{self.client.base_url} is no such service ({error}); start it by `make serve`."
            ) from None
        raise SystemExit(f"{path} answers {response.status_code}: {problem}")
