"""What is deployed, on a real Docker engine: the profiles, and replicas that go away under load."""
