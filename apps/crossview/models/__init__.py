"""Generators, the discriminator and their losses."""
