"""What a reconstruction is worth: metrics, suites, baselines."""
