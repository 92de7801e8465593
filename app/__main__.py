"""Runs the service: `python -m app`, set up by the REVIEW_LM_* variables of `app/settings.py`."""

import gc
import signal
import sys
import warnings

# Imports make a million objects that stay: looking through them for garbage takes half a second of every start.
gc.disable()
# Held back until the server takes it: it must neither be missed nor end a service that starts.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
# torch says so at its import, and the service needs none.
warnings.filterwarnings("ignore", message="Failed to initialize NumPy")

from app.console import fail, set_up_console  # noqa: E402
from app.errors import StartupError  # noqa: E402
from app.keys import read_keys  # noqa: E402
from app.process import set_up_process  # noqa: E402
from app.settings import read_settings  # noqa: E402


def main() -> int:
    set_up_process()
    try:
        settings = read_settings()
        read_keys(settings.api_keys, settings.api_keys_file)
        # What is wrong with a setting is told at once: torch alone takes seconds to import.
        from app.start import start  # noqa: PLC0415

        gc.freeze()  # or a process that cannot start looks through all of it when it ends
        # After all imports, as alembic tells of its plugins when it is imported.
        set_up_console(settings.console_format, settings.console_level)
        return start(settings)
    except StartupError as error:
        return fail(str(error))


if __name__ == "__main__":
    sys.exit(main())
