"""Taking back what a sync overwrote and deleted, on either side. `journal` knows what it was, `back` brings it back."""
