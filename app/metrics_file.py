"""The artifact's `metrics.json`: how the model was trained and how good it is. The service runs without, too."""

import json
import logging
from pathlib import Path
from typing import Any

METRICS_FILE = "metrics.json"

logger = logging.getLogger(__name__)


def read_metrics(directory: Path) -> dict[str, Any] | None:
    """Returns the figures in the artifact's folder; None where there are none, or none that can be read."""
    path = directory / METRICS_FILE
    try:
        # NaN and Infinity are Python's own, and no JSON that a browser reads.
        metrics = json.loads(path.read_text(), parse_constant=lambda _: None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be read, GET /model goes without: %s", path, error)
        return None
    return metrics if isinstance(metrics, dict) else None
