"""What `poise sweep` and `poise ablate` share."""
