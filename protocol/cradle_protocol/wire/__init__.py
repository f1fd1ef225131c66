"""The wire: frames, link machine, message stream, session and messages. Not what the messages are for.

Imports nothing: a board loads the modules it uses, and no others.
"""
