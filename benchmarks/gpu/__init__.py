"""All that is to be known of a GPU, in one command: `python -m benchmarks.gpu`."""
