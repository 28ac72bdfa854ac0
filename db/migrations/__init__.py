"""The steps that db.migrate runs, in the order of their names."""
