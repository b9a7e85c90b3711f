"""What applications share: runs, evaluations, predictions, comparisons."""
