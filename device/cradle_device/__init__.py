"""The agent: hosts device providers, answers sessions, keeps its replicas' metadata on flash.

Runs on MicroPython and CPython from the same source and needs nothing but `cradle_protocol`;
links, TLS and the pairing code are handed in as objects. It never starts a session.
"""
