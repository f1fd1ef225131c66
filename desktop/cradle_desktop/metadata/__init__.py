"""The desktop's sync metadata, and the database file that holds all of its state. No engine, no store, no link.

`interface` is what a database must offer, `sqlite` does it; nothing outside this package knows a table.
"""
