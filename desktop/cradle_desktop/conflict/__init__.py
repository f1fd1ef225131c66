"""What lost a conflict, and how it is taken back. Decides no conflict: that is the engine's.

`contents` keeps bytes by hash, `store` knows what they are, `resolve` puts them into a store, `show` compares sides.
"""
