"""What happened, told without changing it."""
