"""Looking into a running actor: thread-safe, asks no actor."""
