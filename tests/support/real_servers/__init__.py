"""Real servers on this machine, with a tiny model made here, for the integration tests."""
