"""Clouds from files and public sets, and the inputs made of them."""
