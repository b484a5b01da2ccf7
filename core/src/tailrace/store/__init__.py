"""What an activation has done: where its sources are settled, and what it counted.

    runs      runs of line numbers, the compact form of a set of positions
    part      one store of keys and values with checksums, changed in transactions
    journal   the checkpoints and counters of an activation
    hold      the lock of an activation: one process works on it

A part knows bytes and nothing of updates. The pipeline decides what is settled; a transaction here
makes it true.
"""
