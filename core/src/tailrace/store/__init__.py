"""What an activation has done: where its sources are settled, and what it counted.

    runs         runs of line numbers, the compact form of a set of positions
    checkpoints  where a source stands, for one part and for several together
    part         one store of keys and values with checksums, changed in transactions
    files        the file of a part, made and opened
    notes        what the file of a part looked like when it was closed
    verify       reading stores whole, in a process of its own
    compact      files of parts with nothing else in them
    repair       a way on from damage
    layout       one part or sixteen, and how one takes the place of the other
    journal      the checkpoints, counters and profiles of an activation
    hold         the lock of an activation: one process works on it

A part knows bytes and nothing of updates. The pipeline decides what is settled; a transaction here
makes it true.
"""
