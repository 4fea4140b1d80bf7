"""Runs that are not one plain clip from its beginning: several shots, separate images, one taken up again."""
