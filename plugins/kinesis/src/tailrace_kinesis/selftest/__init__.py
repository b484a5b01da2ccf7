"""The Kinesis rows of `tailrace selftest faults`.

`rows.py` says which there are and what each expects; `plays.py` what the scripted server does in each,
and what is turned off when the row is broken; `places.py` starts the server. Imported when used.
"""
