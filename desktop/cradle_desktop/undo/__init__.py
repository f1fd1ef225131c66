"""Taking back what a sync overwrote and deleted on this desktop. `journal` knows what it was, `back` brings it back."""
