"""What the command lines of this project have in common: options from nowhere else, failures as one sentence."""

import sys
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

from training.errors import TrainingError

NO_DEFAULT = "default_factory_not_called"
"""What pydantic says of an option whose default depends on others, when one of those is the problem."""


class CommandLineProgram(BaseSettings):
    """A program of subcommands, each a `BaseModel` with a method `cli_cmd`; give `cli_prog_name` in `model_config`."""

    model_config = SettingsConfigDict(
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls, settings_cls: Any, init_settings: Any, **others: Any
    ) -> tuple[Any, ...]:
        return (init_settings,)  # options come from the command line alone, never from the environment

    def cli_cmd(self) -> None:
        CliApp.run_subcommand(self)


def run_program(program: type[CommandLineProgram], arguments: list[str] | None, when_stopped: str) -> int:
    """Runs one command; whatever a user can put right ends in one sentence and status 1."""
    try:
        CliApp.run(program, cli_args=arguments)
    except TrainingError as error:
        return _fail(str(error))
    except ValidationError as error:
        return _fail("; ".join(_sentence(problem) for problem in error.errors() if problem["type"] != NO_DEFAULT))
    except SettingsError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'A file'}: {error.strerror}; check the path, its permissions and the disk.")
    except KeyboardInterrupt:
        return _fail(when_stopped)
    return 0


def _sentence(problem: Any) -> str:
    option = "--" + str(problem["loc"][-1]).replace("_", "-") if problem["loc"] else "the command"
    return f"{option}: {problem['msg']}"


def _fail(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 1
