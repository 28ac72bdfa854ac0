"""What actors say to each other, one module a receiver: the floor that all rooms share."""
