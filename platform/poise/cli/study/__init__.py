"""Code that `poise sweep` and `poise ablate` share."""
