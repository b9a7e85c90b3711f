"""Training of classifiers: settings, presets, recipes, transfer."""
