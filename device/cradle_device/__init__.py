"""The agent: hosts device providers, answers sessions, keeps its replicas' metadata. Not the manager, and no link.

Same source on MicroPython and CPython, no dependency; links, TLS and pairing codes are handed in. Import the modules
that a program needs by name: a board loads nothing else, so this file imports nothing.
"""
