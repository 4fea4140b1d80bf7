"""What runs are made of: the clip that is read, the objects asked for; several shots, separate images, one resumed."""
