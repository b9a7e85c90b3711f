"""What networks cost: time, memory, arithmetic."""
