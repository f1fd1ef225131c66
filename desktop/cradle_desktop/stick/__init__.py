"""A folder on a stick or card as a partner: found by its id, served by the device's agent in this very process."""
