"""Programs of the official SDKs, and how the tests run them."""
