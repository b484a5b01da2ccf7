"""`tailrace selftest faults`: the fault matrix, run on this machine.

    from tailrace.selftest import matrix

    for verdict in matrix.run(matrix.select(registry)):
        print(verdict.row.name, verdict.word)

`matrix.py` says which rows there are and what became of each; `running.py` runs one; `judging.py` says
what is wrong with what was seen. A destination brings its rows with `tailrace.SupportsFaults`; the rows
of the engine and the input are in `engine.py`, against the destination of `scripted.py`; what happens in
each is in `engine_places.py`, `restart_places.py` and `state_places.py`.
"""
