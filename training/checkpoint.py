"""Checkpoints on disk: written whole or not at all, read without running any code that might be in them."""

import os
from pathlib import Path
from typing import Any

import torch

from training.errors import TrainingError
from training.network import Network, NetworkOptions
from training.options import FitOptions

CHECKPOINT_FILE = "checkpoint.pt"
FORMAT = 2


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replaces `path` once the new checkpoint is whole, so that a process may be killed at any time."""
    temporary = path.with_suffix(".writing")
    torch.save({"format": FORMAT, **state}, temporary)
    os.replace(temporary, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"There is no checkpoint {path}; run `python -m training train` first.") from None
    except Exception as error:
        raise TrainingError(f"{path} is not a whole checkpoint of this program ({error}); train again.") from error
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        raise TrainingError(f"{path} has another checkpoint format than this program's {FORMAT}; train again.")
    # A checkpoint from before an option came to be lacks it; every such option's default is what was done then.
    return {**saved, "options": FitOptions(**saved["options"]).model_dump(mode="json")}


def load_network(path: Path) -> tuple[Network, dict[str, Any]]:
    """Rebuilds a trained network from its checkpoint alone; returns it with what the checkpoint says of the run."""
    saved = read_checkpoint(path)
    options = {name: saved["options"][name] for name in NetworkOptions.model_fields}
    network = Network(NetworkOptions(**options), saved["vocabulary_size"])
    network.load_state_dict(saved["network"])
    return network.eval(), saved


@torch.no_grad()
def take_weights(network: Network, path: Path) -> None:
    """Gives a network the weights of another run's checkpoint; a part that only one of the two has is left alone."""
    saved = read_checkpoint(path)["network"]
    own = network.state_dict()
    for name in (shared := sorted(own.keys() & saved.keys())):
        if own[name].shape != saved[name].shape:
            ours, theirs = (" × ".join(map(str, each[name].shape)) or "1" for each in (own, saved))
            raise TrainingError(f"{name} is {ours} here and {theirs} in {path}; give the options that run was given.")
    if not shared:
        raise TrainingError(f"{path} has no weights that this network has; give the options that run was given.")
    network.load_state_dict({name: saved[name] for name in shared}, strict=False)
