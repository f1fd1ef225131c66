"""The provider contract: what a store of objects must be able to do, on either side."""
