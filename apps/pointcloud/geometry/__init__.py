"""Points and their neighbourhoods, without learning."""
