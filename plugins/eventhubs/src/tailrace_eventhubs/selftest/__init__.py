"""The Event Hubs rows of `tailrace selftest faults`.

`rows.py` says which there are and what each expects; `plays.py` what the emulator does in each, and what is
turned off when the row is broken; `places.py` starts it. Imported when used.
"""
