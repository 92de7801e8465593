"""What the service is measured beside: the least that FastAPI can do, and the plain way to serve the same network."""
