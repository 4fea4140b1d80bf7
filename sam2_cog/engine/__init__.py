"""SAM 2.1: a checkpoint becomes a network, and the network follows prompts through frames. Knows no picture files."""
