"""The messages, one module per family: session, pairing, sync, notice; records holds what bulk messages carry inside.

Imports nothing: a board loads the families it uses.
"""
