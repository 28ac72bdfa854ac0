"""Is the service well, ready, alive?"""
