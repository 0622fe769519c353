"""The command line: arguments, output, exit codes; one file a verb. Read main.py next."""
