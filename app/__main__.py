"""Runs the service: `python -m app`, set up by the REVIEW_LM_* variables of `app/settings.py`."""

import logging
import signal
import sys

import uvicorn
from pydantic import ValidationError

from app.errors import StartupError
from app.main import create_app
from app.settings import Settings


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        settings = Settings()
        app = create_app(settings)
    except ValidationError as error:
        return _fail("; ".join(f"{_variable(e['loc'])}: {e['msg']}" for e in error.errors()) + ".")
    except StartupError as error:
        return _fail(str(error))
    # uvicorn raises the signal that stopped it again once it is done; an orderly end is no failure.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    return 0


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "settings"
    return name if name.isupper() else f"REVIEW_LM_{name.upper()}"


def _fail(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
