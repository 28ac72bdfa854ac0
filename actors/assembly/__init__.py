"""How the tree is put together, and what stands around it."""
