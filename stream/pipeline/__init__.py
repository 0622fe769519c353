"""What a batch does to the state of a task. Pure. Read step.py next."""
