"""What Cog's server needs around the pipeline: what it may open and say, temporary files, an end when it is sick."""
