"""A task's life (recover, apply, checkpoint) and the loops over it. Read task.py next."""
