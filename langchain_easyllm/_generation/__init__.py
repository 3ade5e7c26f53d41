"""One generation: from what a model object wants to the answer."""
