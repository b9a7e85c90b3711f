"""The networks behind the contract of core.models.contract."""
