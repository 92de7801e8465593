"""A real Ray cluster of two nodes on this machine: what it answers, and what becomes of it when parts are killed."""
