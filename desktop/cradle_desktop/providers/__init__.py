"""What can be synced on CPython: stores that see only the contract, so that a CPython agent can host them too."""
