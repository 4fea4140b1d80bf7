"""A frame and its masks become a picture. Knows nothing of the network."""
