"""Where the toolkit keeps `framework`."""
