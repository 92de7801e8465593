"""The routes: HTTP on one side, tasks for the engine on the other, no tensors."""
