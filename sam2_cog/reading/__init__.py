"""What people write, read: lists as texts and numbers, files of boxes and masks. Knows nothing of tracked objects."""
