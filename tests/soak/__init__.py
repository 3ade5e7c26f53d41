"""A load of many calls at once on a server that fails at random: `make soak`."""
