"""Versions, knowledge, items and the rules by which two replicas come to agree. No wire, no store, no clock."""
