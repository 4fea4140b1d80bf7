"""What people hand in: a file or a folder becomes RGB frames with their times. Knows nothing of the network."""
