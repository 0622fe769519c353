"""What flows: records, the step, transports, checkpoints, runtimes, serving, the command line. Read records.py next."""
