"""Rows that a device's program records, on their way into a store: asked for, re-stamped, kept, acknowledged."""
