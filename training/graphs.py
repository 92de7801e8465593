"""CUDA graphs: a GPU replays all the kernels of a recurrence at one call.

A step of an LSTM is some twenty small kernels forwards and backwards, and a processor takes longer to ask for one than
a GPU to run it: without graphs the GPU waits for more than half of the time. A graph holds for one shape of batch, and
for training or evaluation alone; a module that is called in the other mode runs as it always does.
"""

import torch

from training.cells import LSTMCell
from training.network import Network


def replay_recurrence(network: Network, steps: int, lanes: int, precision: str) -> None:
    """Has the LSTM cells of a `network` on a GPU replayed for batches of `steps` by `lanes`, in the mode it is in now.

    Other cells run as before.
    """
    device, learns = network.embedding.device, network.training
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)  # a graph is recorded on another stream
    for cell in network.cells:
        if not isinstance(cell, LSTMCell):
            continue
        inputs = torch.zeros(steps, lanes, cell.input_size, device=device, requires_grad=learns)
        state = torch.zeros(lanes, cell.state_size, device=device)
        keep = torch.ones(steps, lanes, device=device)
        with torch.autocast(device.type, torch.bfloat16, precision == "bfloat16", cache_enabled=False):
            torch.cuda.make_graphed_callables(cell, (inputs, state, keep))
