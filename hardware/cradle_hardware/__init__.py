"""The physical world on CPython: links, discovery and board deployment.

It moves bytes and knows no session. Drivers are optional extras, imported when a link is opened.
"""
