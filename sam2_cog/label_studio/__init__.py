"""Label Studio's ML backend for video: boxes that a person drew come back as boxes on every frame."""
