"""Pretraining on pictures without labels: settings, network, objective, monitor, loop."""
