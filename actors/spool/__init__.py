"""What a writer could not deliver, on disk."""
