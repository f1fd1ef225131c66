"""The shipped test harness: contracts, simulated links and worlds, a clock turned by hand.

For our own tests and for authors of providers and links. No mocks: what stands in for a real
part here is a small real implementation of the same interface.
"""
