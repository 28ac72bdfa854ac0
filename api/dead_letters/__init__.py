"""What nobody handled."""
