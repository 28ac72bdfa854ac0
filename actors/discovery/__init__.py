"""Discovery: filters new coins and keeps the promising ones until somebody wants them tracked."""
