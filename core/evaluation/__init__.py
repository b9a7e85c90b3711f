"""What a network is worth: accuracy, few-shot probes, looks inside; and its export."""
