"""Everything both ends must agree on, and nothing that waits.

Three rooms, each usable without the others: `wire` (frames, link machine, session, messages),
`sync` (versions, knowledge, replica logic) and `provider` (the contract of a store). Runs on
MicroPython and CPython from the same source, so this file imports nothing.
"""
