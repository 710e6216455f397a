"""Files answered without the application: containment, negotiation, ranges, sending."""
