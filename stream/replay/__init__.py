"""Replays: the same fold over what is there already. Backtest, audit, explain; nothing here writes to a live pipeline."""
